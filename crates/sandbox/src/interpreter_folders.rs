//! Where interpreters may be: PATH, the usual folders, and those of version managers.

use std::fs;
use std::path::{Path, PathBuf};

use crate::interpreters::{Language, PYTHON_MINOR_MAX, PYTHON_MINOR_MIN};

/// A folder whose subfolders are installations: below a variable's value, else below a home folder.
struct Manager {
    language: Language,
    variable: &'static str,
    /// Below the variable's folder.
    below: &'static str,
    /// The variable's default, below a home folder.
    at_home: &'static str,
}

const fn manager(language: Language, variable: &'static str, below: &'static str, at_home: &'static str) -> Manager {
    Manager { language, variable, below, at_home }
}

const MANAGERS: &[Manager] = &[
    manager(Language::Python, "PYENV_ROOT", "versions", ".pyenv"),
    manager(Language::Python, "XDG_DATA_HOME", "uv/python", ".local/share"),
    manager(Language::Python, "UV_PYTHON_INSTALL_DIR", "", ".local/share/uv/python"),
    manager(Language::Node, "NVM_DIR", "versions/node", ".nvm"),
    manager(Language::Node, "FNM_DIR", "node-versions", ".local/share/fnm"),
    manager(Language::Node, "FNM_DIR", "node-versions", ".fnm"),
    manager(Language::Node, "VOLTA_HOME", "tools/image/node", ".volta"),
    manager(Language::Node, "N_PREFIX", "n/versions/node", "n"),
    manager(Language::Node, "ASDF_DATA_DIR", "installs/nodejs", ".asdf"),
    manager(Language::Node, "MISE_DATA_DIR", "installs/node", ".local/share/mise"),
    manager(Language::Node, "NODENV_ROOT", "versions", ".nodenv"),
];

/// Folders of this kind that belong to the machine.
const SYSTEM: &[(Language, &str)] = &[
    (Language::Python, "/opt"),
    (Language::Python, "/opt/python"),
    (Language::Node, "/opt"),
    (Language::Node, "/usr/local/n/versions/node"),
    (Language::Node, "/usr/local/nvm/versions/node"),
];

/// Executables that may be interpreters, the most likely first.
pub(crate) fn candidates() -> Vec<(Language, PathBuf)> {
    let mut folders: Vec<PathBuf> = Vec::new();
    if let Some(path) = std::env::var_os("PATH") {
        folders.extend(std::env::split_paths(&path).filter(|folder| folder.is_absolute()));
    }
    // A shim of pyenv or asdf is a script that picks a version by the current folder: never what is meant here.
    folders.retain(|folder| !folder.ends_with("shims"));
    folders.extend(["/usr/bin", "/usr/local/bin"].map(PathBuf::from));
    let mut candidates: Vec<(Language, PathBuf)> = Vec::new();
    for folder in &folders {
        candidates.extend(in_folder(Language::Python, folder));
        candidates.extend(in_folder(Language::Node, folder));
    }
    for (language, parent) in parents(&homes()) {
        let Ok(entries) = fs::read_dir(parent) else { continue };
        for entry in entries.flatten() {
            candidates.extend(in_folder(language, &entry.path().join("bin")));
            // fnm has one folder more.
            candidates.extend(in_folder(language, &entry.path().join("installation/bin")));
        }
    }
    candidates
}

fn in_folder(language: Language, folder: &Path) -> Vec<(Language, PathBuf)> {
    let names: Vec<String> = match language {
        Language::Python => {
            (PYTHON_MINOR_MIN..=PYTHON_MINOR_MAX).rev().map(|minor| format!("python3.{minor}")).collect()
        }
        Language::Node => vec!["node".to_owned()],
    };
    names.iter().map(|name| (language, folder.join(name))).filter(|(_, path)| path.exists()).collect()
}

fn parents(homes: &[PathBuf]) -> Vec<(Language, PathBuf)> {
    let mut parents: Vec<(Language, PathBuf)> =
        SYSTEM.iter().map(|(language, parent)| (*language, PathBuf::from(parent))).collect();
    for manager in MANAGERS {
        if let Some(root) = std::env::var_os(manager.variable) {
            parents.push((manager.language, PathBuf::from(root).join(manager.below)));
        }
        for home in homes {
            parents.push((manager.language, home.join(manager.at_home).join(manager.below)));
        }
    }
    parents
}

/// The home folders of whoever runs gust, and of whoever called sudo for it.
fn homes() -> Vec<PathBuf> {
    let mut homes: Vec<PathBuf> = std::env::var_os("HOME").map(PathBuf::from).into_iter().collect();
    if let (Some(user), Ok(users)) = (std::env::var("SUDO_USER").ok(), fs::read_to_string("/etc/passwd"))
        && let Some(home) = home_of(&users, &user)
        && !homes.contains(&home)
    {
        homes.push(home);
    }
    homes
}

/// The sixth field of the user's line.
fn home_of(users: &str, user: &str) -> Option<PathBuf> {
    let line = users.lines().find(|line| line.split(':').next() == Some(user))?;
    line.split(':').nth(5).filter(|home| home.starts_with('/')).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_managers_are_looked_for_in_every_home() {
        let parents = parents(&["/home/ann".into(), "/root".into()]);
        for wanted in [
            "/home/ann/.nvm/versions/node",
            "/root/.nvm/versions/node",
            "/home/ann/.volta/tools/image/node",
            "/home/ann/.local/share/fnm/node-versions",
            "/home/ann/.asdf/installs/nodejs",
        ] {
            assert!(parents.contains(&(Language::Node, wanted.into())), "{wanted}");
        }
        assert!(parents.contains(&(Language::Python, "/home/ann/.pyenv/versions".into())));
        assert!(parents.contains(&(Language::Python, "/home/ann/.local/share/uv/python".into())));
    }

    #[test]
    fn the_home_of_who_called_sudo_is_in_passwd() {
        let users = "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\nbob:x:1:1:::\n";
        assert_eq!(home_of(users, "ann"), Some("/home/ann".into()));
        assert_eq!(home_of(users, "an"), None);
        assert_eq!(home_of(users, "bob"), None);
    }
}
