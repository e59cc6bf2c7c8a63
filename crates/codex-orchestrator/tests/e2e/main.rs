//! The built program, in repositories and state folders of its own: what it says, what it leaves
//! on disk, which processes it leaves, and what becomes of all that when something is killed,
//! filled, moved or edited meanwhile.

mod bad_input;
mod boots;
mod browser;
mod caps;
mod chance;
mod commands;
mod confined;
mod controls;
mod crowd;
mod cuts;
mod delegation;
mod disks;
mod hooks;
mod kills;
mod mounts;
mod notices;
mod opened;
mod packages;
mod person;
mod places;
mod processes;
mod schemas;
mod scratch;
mod setup;
mod stages;
mod terminal;
mod ui;
