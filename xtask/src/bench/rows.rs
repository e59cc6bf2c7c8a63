//! What is measured: one file for each row.

use super::contender::Contender;
use super::figure::Figure;
use super::scratch::Scratch;
use super::turns::Turn;

pub(super) mod answers;
pub(super) mod confined;

pub(super) mod fifty;
pub(super) mod history;
pub(super) mod idle;
pub(super) mod output;
pub(super) mod pause;
pub(super) mod proxied;
pub(super) mod server;
pub(super) mod stages;
pub(super) mod start;
pub(super) mod status;

/// A contender that is there, with a repository of its own.
struct Ready<'a> {
    tool: &'a Contender,
    scratch: Scratch,
}

impl<'a> Ready<'a> {
    fn new(
        tool: &'a Result<Contender, String>,
        scratch: impl FnOnce(&str) -> Result<Scratch, String>,
    ) -> Result<Self, String> {
        let tool = tool.as_ref().map_err(Clone::clone)?;
        Ok(Self { scratch: scratch(tool.name)?, tool })
    }
}

/// A turn of a contender, which fails with the reason why it is not there if it is not.
fn turn<'a>(
    ready: &'a Result<Ready<'_>, String>,
    mut work: impl FnMut(&Contender, &Scratch) -> Result<f64, String> + 'a,
) -> Turn<'a> {
    Box::new(move || match ready {
        Ok(ready) => work(ready.tool, &ready.scratch),
        Err(reason) => Err(reason.clone()),
    })
}

/// What one contender gives, measured once.
fn once<T>(
    ready: &Result<Ready<'_>, String>,
    work: impl FnOnce(&Contender, &Scratch) -> Result<T, String>,
) -> Result<T, String> {
    ready.as_ref().map_err(Clone::clone).and_then(|ready| work(ready.tool, &ready.scratch))
}

/// The figure that one part of a measurement gives, or why the measurement gave none.
fn part<T>(measured: &Result<T, String>, figure: impl FnOnce(&T) -> Figure) -> Figure {
    match measured {
        Ok(measured) => figure(measured),
        Err(reason) => Figure::missing(reason.clone()),
    }
}
