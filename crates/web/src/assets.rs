//! The files of the page. They are in the program, so that no path is ever looked up on a disk.

/// One file, by the name under which it is asked for.
#[derive(Debug)]
pub(crate) struct Asset {
    pub(crate) name: &'static str,
    pub(crate) media_type: &'static str,
    pub(crate) bytes: &'static [u8],
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// What is shown at `/`.
pub(crate) const INDEX: Asset =
    Asset { name: "index.html", media_type: HTML, bytes: include_bytes!("../assets/index.html") };

/// What is at `/assets/NAME`.
const ASSETS: &[Asset] = &[
    Asset { name: "address.js", media_type: JS, bytes: include_bytes!("../assets/address.js") },
    Asset { name: "api.js", media_type: JS, bytes: include_bytes!("../assets/api.js") },
    Asset { name: "changes.js", media_type: JS, bytes: include_bytes!("../assets/changes.js") },
    Asset { name: "decide.js", media_type: JS, bytes: include_bytes!("../assets/decide.js") },
    Asset { name: "dom.js", media_type: JS, bytes: include_bytes!("../assets/dom.js") },
    Asset { name: "icon.svg", media_type: SVG, bytes: include_bytes!("../assets/icon.svg") },
    Asset { name: "inbox.js", media_type: JS, bytes: include_bytes!("../assets/inbox.js") },
    Asset { name: "log.js", media_type: JS, bytes: include_bytes!("../assets/log.js") },
    Asset { name: "page.css", media_type: CSS, bytes: include_bytes!("../assets/page.css") },
    Asset { name: "page.js", media_type: JS, bytes: include_bytes!("../assets/page.js") },
    Asset { name: "run.js", media_type: JS, bytes: include_bytes!("../assets/run.js") },
    Asset { name: "runs.js", media_type: JS, bytes: include_bytes!("../assets/runs.js") },
    Asset { name: "text.js", media_type: JS, bytes: include_bytes!("../assets/text.js") },
];

pub(crate) fn named(name: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{ASSETS, INDEX, named};

    #[test]
    fn every_file_in_the_folder_is_served_and_no_other() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/assets");
        let there: BTreeSet<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let served = ASSETS.iter().chain([&INDEX]).map(|asset| asset.name.to_owned());
        assert_eq!(served.collect::<BTreeSet<_>>(), there);
    }

    #[test]
    fn what_the_files_name_is_served() {
        for asset in ASSETS.iter().chain([&INDEX]) {
            let text = std::str::from_utf8(asset.bytes).unwrap();
            let named_here = ["\"/assets/", "\"./", "'./"].iter().flat_map(|before| {
                text.split(before).skip(1).filter_map(|rest| rest.split(['"', '\'']).next())
            });
            for name in named_here {
                assert!(named(name).is_some(), "{} names `{name}`", asset.name);
            }
        }
    }

    #[test]
    fn nothing_in_the_page_needs_what_browsers_are_told_to_refuse() {
        let text = std::str::from_utf8(INDEX.bytes).unwrap().to_lowercase();
        for refused in ["<style", " style=", " onclick=", " onload=", "javascript:", "://"] {
            assert!(!text.contains(refused), "{refused}");
        }
        assert_eq!(
            text.matches("<script").count(),
            text.matches("<script type=\"module\" src=").count()
        );
    }
}
