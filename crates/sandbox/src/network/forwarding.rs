//! Lets the host's devices forward packets, no further than needed and no longer than gust runs.
//!
//! A packet is forwarded if the device it *arrives* at may forward. Answers to functions arrive at the host's own
//! devices, so those have to. Where the host forwards already (`net.ipv4.ip_forward`, as with Docker, libvirt, on
//! routers), nothing is changed. Elsewhere gust lets each device forward by itself and leaves the host's general switch
//! alone: then whoever needs that later (Docker) still finds it off, and makes its own arrangements. Between two devices
//! that forward only because of gust nothing is forwarded ([`super::firewall`] keeps them apart), so the host does not
//! become a router. At the end the devices are put back, unless the general switch has been turned on meanwhile, or
//! another gust is still there, which then does it.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What gust's devices on the host are called, with eight hexadecimal digits behind it.
pub(super) const DEVICE_PREFIX: &str = "gust-";

const SETTINGS: &str = "/proc/sys/net/ipv4/conf";

pub(super) struct Forwarding {
    settings: PathBuf,
    /// Says which devices are to be put back, for whoever finds it after this process was killed.
    note: PathBuf,
    /// gust's own device: it always forwards, and goes with gust.
    own: String,
    /// Devices that forward because of gust.
    pub(super) turned_on: BTreeSet<String>,
}

impl Forwarding {
    pub(super) fn new(own: String, note: PathBuf) -> Forwarding {
        Forwarding { settings: SETTINGS.into(), note, own, turned_on: BTreeSet::new() }
    }

    /// Looks at all devices. True if more of them forward because of gust than before.
    pub(super) fn update(&mut self) -> io::Result<bool> {
        set(&self.settings, &self.own, true)?;
        if is_on(&self.settings, "all") {
            return Ok(false);
        }
        let devices = devices(&self.settings)?;
        let is_gusts = |name: &str| name.starts_with(DEVICE_PREFIX);
        let another_gust = devices.iter().any(|name| is_gusts(name) && *name != self.own);
        let mine = |name: &&String| {
            let is_special = ["all", "default", "lo"].contains(&name.as_str()) || is_gusts(name);
            !is_special && !self.turned_on.contains(*name) && (another_gust || !is_on(&self.settings, name))
        };
        let new: Vec<String> = devices.iter().filter(mine).cloned().collect();
        if new.is_empty() {
            return Ok(false);
        }
        self.turned_on.extend(new.iter().cloned());
        let names: String = self.turned_on.iter().map(|name| format!("{name}\n")).collect();
        fs::write(&self.note, names)?;
        for name in new {
            match set(&self.settings, &name, true) {
                // It has gone since.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                result => result?,
            }
        }
        Ok(true)
    }

    /// Puts everything back.
    pub(super) fn put_back(&self) {
        put_back(&self.settings, &self.note, Some(&self.own));
    }

    /// Puts back what a process that was killed has left.
    pub(super) fn put_back_what_is_left(note: &Path) {
        put_back(Path::new(SETTINGS), note, None);
    }
}

fn put_back(settings: &Path, note: &Path, own: Option<&str>) {
    let Ok(names) = fs::read_to_string(note) else { return };
    let devices = devices(settings).unwrap_or_default();
    let another_gust = devices.iter().any(|name| name.starts_with(DEVICE_PREFIX) && Some(name.as_str()) != own);
    if !is_on(settings, "all") && !another_gust {
        for name in names.lines().filter(|name| devices.iter().any(|device| device == name)) {
            if let Err(error) = set(settings, name, false) {
                eprintln!("gust: {name} still forwards packets: {error}");
            }
        }
    }
    drop(fs::remove_file(note));
}

fn devices(settings: &Path) -> io::Result<Vec<String>> {
    fs::read_dir(settings)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

fn is_on(settings: &Path, device: &str) -> bool {
    fs::read_to_string(settings.join(device).join("forwarding")).is_ok_and(|value| value.trim() != "0")
}

fn set(settings: &Path, device: &str, on: bool) -> io::Result<()> {
    let path = settings.join(device).join("forwarding");
    // Not created: a device that has gone has no such file.
    let mut file = fs::File::options().write(true).open(&path)?;
    io::Write::write_all(&mut file, if on { b"1" } else { b"0" })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Host(tempfile::TempDir);

    impl Host {
        fn new(devices: &[(&str, bool)]) -> Host {
            let host = Host(tempfile::tempdir().unwrap());
            for (name, forwards) in devices {
                host.add(name, *forwards);
            }
            host
        }

        fn add(&self, name: &str, forwards: bool) {
            fs::create_dir_all(self.0.path().join("conf").join(name)).unwrap();
            fs::write(self.0.path().join("conf").join(name).join("forwarding"), if forwards { "1\n" } else { "0\n" })
                .unwrap();
        }

        fn remove(&self, name: &str) {
            fs::remove_dir_all(self.0.path().join("conf").join(name)).unwrap();
        }

        fn forwards(&self, name: &str) -> bool {
            is_on(&self.0.path().join("conf"), name)
        }

        fn gust(&self, own: &str) -> Forwarding {
            self.add(own, false);
            let settings = self.0.path().join("conf");
            Forwarding { settings, note: self.0.path().join(own), own: own.to_owned(), turned_on: BTreeSet::new() }
        }

        fn end(&self, gust: &Forwarding) {
            self.remove(&gust.own);
            gust.put_back();
        }
    }

    #[test]
    fn devices_forward_while_gust_runs_and_are_put_back() {
        let host = Host::new(&[("all", false), ("default", false), ("lo", false), ("eth0", false), ("lan", true)]);
        let mut gust = host.gust("gust-1");
        assert!(gust.update().unwrap());
        assert!(host.forwards("eth0") && host.forwards("gust-1"));
        assert!(!host.forwards("all") && !host.forwards("default") && !host.forwards("lo"));
        assert!(!gust.update().unwrap(), "nothing new");
        host.add("wlan0", false);
        assert!(gust.update().unwrap());
        assert_eq!(gust.turned_on, ["eth0", "wlan0"].map(str::to_owned).into());
        host.remove("wlan0");
        host.end(&gust);
        assert!(!host.forwards("eth0"));
        assert!(host.forwards("lan"), "it did before");
        assert!(!gust.note.exists());
    }

    #[test]
    fn a_host_that_forwards_is_left_as_it_is() {
        let host = Host::new(&[("all", true), ("eth0", true)]);
        let mut gust = host.gust("gust-1");
        assert!(!gust.update().unwrap());
        host.end(&gust);
        assert!(host.forwards("eth0"));
    }

    #[test]
    fn a_switch_that_somebody_turned_on_meanwhile_stays_on() {
        let host = Host::new(&[("all", false), ("eth0", false)]);
        let mut gust = host.gust("gust-1");
        gust.update().unwrap();
        host.add("all", true);
        host.end(&gust);
        assert!(host.forwards("eth0"));
    }

    #[test]
    fn the_last_gust_puts_back_whichever_began() {
        let host = Host::new(&[("all", false), ("eth0", false)]);
        let mut first = host.gust("gust-1");
        first.update().unwrap();
        let mut second = host.gust("gust-2");
        assert!(second.update().unwrap());
        host.end(&first);
        assert!(host.forwards("eth0"), "the second still needs it");
        host.end(&second);
        assert!(!host.forwards("eth0"));
    }

    #[test]
    fn what_a_killed_gust_left_is_put_back_by_the_next() {
        let host = Host::new(&[("all", false), ("eth0", false)]);
        let mut killed = host.gust("gust-1");
        killed.update().unwrap();
        host.remove("gust-1");
        put_back(&killed.settings, &killed.note, None);
        assert!(!host.forwards("eth0") && !killed.note.exists());
        put_back(&killed.settings, &killed.note, None);
    }
}
