//! The local page in a real browser: what a person sees there, and what their clicks and keys do.
//!
//! The browser is Chromium without a window, one for each test, with a profile that goes away with
//! it. A test fails if the page complained of anything on its console, or if the browser refused the
//! page something that its policy forbids. Where there is no Chromium, each test says that it was
//! skipped.

mod browser;
mod pipe;
mod site;
mod smoke;
