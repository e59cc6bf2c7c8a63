//! Columns of plain text.

use super::screen::{Screen, Tone, columns, fit};

/// A cell: its text, and its colour where there is one.
pub(crate) type Cell = (String, Option<Tone>);

/// Writes rows in columns. The last column takes what room is left.
pub(crate) fn write(screen: Screen, head: &[&str], rows: &[Vec<Cell>]) {
    let mut widths: Vec<usize> = head.iter().map(|title| columns(title)).collect();
    for row in rows {
        for (width, (text, _)) in widths.iter_mut().zip(row) {
            *width = (*width).max(columns(text));
        }
    }
    let head: Vec<Cell> =
        head.iter().map(|title| ((*title).to_owned(), Some(Tone::Faint))).collect();
    for row in std::iter::once(&head).chain(rows) {
        screen.line(&line(screen, row, &widths));
    }
}

fn line(screen: Screen, row: &[Cell], widths: &[usize]) -> String {
    let mut out = String::new();
    let mut used = 0;
    for (at, (text, tone)) in row.iter().enumerate() {
        let last = at + 1 == row.len();
        let shown = match last && screen.live {
            true => fit(text, screen.width().saturating_sub(used + 1).max(8)),
            false => text.clone(),
        };
        let gap = if last { 0 } else { widths[at] + 2 - columns(&shown) };
        used += widths[at] + 2;
        out.push_str(&tone.map_or(shown.clone(), |tone| screen.paint(tone, &shown)));
        out.push_str(&" ".repeat(gap));
    }
    out.trim_end().to_owned()
}
