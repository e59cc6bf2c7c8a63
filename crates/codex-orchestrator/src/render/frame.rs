//! Lines that are written over, below those that stay.

use super::screen::{Screen, painted_columns};

/// What of the terminal is ours to write over.
#[derive(Clone, Debug, Default)]
pub(crate) struct Frame {
    /// The columns of each line as it was drawn.
    drawn: Vec<usize>,
}

impl Frame {
    /// What takes the lines away, and leaves the cursor where the first of them began.
    pub(crate) fn erase(&mut self, screen: Screen) -> String {
        // A terminal that has become narrower breaks its lines anew, and they are more rows now.
        let rows: usize = self.drawn.drain(..).map(|columns| rows(columns, screen.width())).sum();
        // Line by line, and not all below at once: some terminals take that for the end of a page,
        // and keep every frame in what can be scrolled back to.
        match rows {
            0 => String::new(),
            rows => format!("{}\r", "\x1b[1A\x1b[2K".repeat(rows)),
        }
    }

    /// What draws the lines, as many as the terminal has room for: more could not be written over.
    pub(crate) fn draw(&mut self, screen: Screen, lines: &[String]) -> String {
        let (width, height) = (screen.width(), screen.height());
        let mut room = height.saturating_sub(1).max(1);
        let mut text = String::new();
        for line in lines {
            let columns = painted_columns(line);
            let Some(left) = room.checked_sub(rows(columns, width)) else { break };
            room = left;
            text.push_str(line);
            text.push('\n');
            self.drawn.push(columns);
        }
        text
    }

    /// Somebody else has written below the lines: they stay where they are.
    pub(crate) fn leave(&mut self) {
        self.drawn.clear();
    }
}

fn rows(columns: usize, width: usize) -> usize {
    columns.div_ceil(width.max(1)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_takes_the_rows_that_its_columns_need() {
        assert_eq!([0, 1, 20, 21, 41].map(|columns| rows(columns, 20)), [1, 1, 1, 2, 3]);
    }
}
