//! Process trees: launched, frozen, stopped, and never left behind.
