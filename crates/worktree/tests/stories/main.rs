//! Stories about work trees, with real repositories and a real git.

mod crash;
mod ground;
mod hostile;
mod kept;
mod made;
mod shown;
