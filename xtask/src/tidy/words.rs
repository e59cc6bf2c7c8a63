//! What no file may say: where somebody's machine keeps things, and where it fetches them.

use super::{Complaint, File};

/// Split, so that this file does not say them either.
const FOLDERS: [[&str; 2]; 2] = [["/wo", "rk/"], ["/ro", "ot/"]];

const HOSTS: [[&str; 2]; 9] = [
    ["index.cra", "tes.io"],
    ["static.cra", "tes.io"],
    ["registry.npm", "js.org"],
    ["registry.yarn", "pkg.com"],
    ["py", "pi.org"],
    ["files.python", "hosted.org"],
    ["deb.deb", "ian.org"],
    ["proxy.gol", "ang.org"],
    ["/arti", "factory/"],
];

pub(super) fn check(files: &[File]) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for file in files {
        for (index, line) in file.text.lines().enumerate() {
            let mut complain = |words| {
                complaints.push(Complaint { path: file.path.clone(), line: index + 1, words });
            };
            for folder in FOLDERS.map(|halves| halves.concat()) {
                if says_folder(line, &folder) {
                    complain(format!("`{folder}` is a folder of one machine"));
                }
            }
            for host in HOSTS.map(|halves| halves.concat()) {
                if line.contains(&host) {
                    complain(format!("`{host}` is the client's business, not this repository's"));
                }
            }
        }
    }
    complaints
}

/// Whether the folder stands there as an absolute path, and not within a longer one.
fn says_folder(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "-_./}$>*".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::super::complaints;

    fn check(text: &str, expected: &str) {
        assert_eq!(complaints(super::check, &[("README.md", text)]), expected);
    }

    #[test]
    fn a_folder_of_one_machine_is_not_for_everybody() {
        let text = format!("cd {}repo\n", super::FOLDERS[0].concat());
        check(
            &text,
            &format!("README.md:1: `{}` is a folder of one machine\n", super::FOLDERS[0].concat()),
        );
    }

    #[test]
    fn such_a_name_deeper_in_a_path_is_anybodys() {
        let folder = super::FOLDERS[0].concat();
        check(&format!("ls target{folder} $HOME{folder} ./some{folder}\n"), "");
    }

    #[test]
    fn where_packages_come_from_is_not_ours_to_say() {
        let host = super::HOSTS[2].concat();
        check(
            &format!("one\n\"resolved\": \"https://{host}/left-pad\"\n"),
            &format!("README.md:2: `{host}` is the client's business, not this repository's\n"),
        );
    }
}
