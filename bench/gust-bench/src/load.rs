//! Load: closed (each connection sends its next request when the last was answered) and open (at a constant rate).
//!
//! Open load omits nothing: a latency counts from the moment at which the request was due, so that a server that
//! stalls is charged for all the requests that it kept from being sent.

use crate::http::Connection;
use crate::row;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What one run of load gave.
#[derive(Default)]
pub struct Samples {
    /// Latencies of good answers in microseconds, in no order.
    pub latencies_us: Vec<f64>,
    /// How long the run took.
    pub elapsed: Duration,
    /// Answers whose status was not the expected one, and exchanges that failed.
    pub errors: u64,
    /// The statuses of those answers; 0: the exchange failed.
    pub statuses: BTreeMap<u16, u64>,
}

impl Samples {
    /// The `fraction` quantile of the latencies, in microseconds.
    pub fn quantile_us(&self, fraction: f64) -> f64 {
        let mut sorted = self.latencies_us.clone();
        sorted.sort_by(f64::total_cmp);
        row::quantile(&sorted, fraction)
    }

    /// Good answers per second.
    pub fn rate(&self) -> f64 {
        self.latencies_us.len() as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// Fails if anything failed.
    pub fn all_good(self) -> std::io::Result<Samples> {
        match self.errors {
            0 => Ok(self),
            count => Err(std::io::Error::other(format!("{count} requests failed: {:?}", self.statuses))),
        }
    }

    fn add(&mut self, other: Samples) {
        self.latencies_us.extend(other.latencies_us);
        self.errors += other.errors;
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
    }

    fn count(&mut self, status: u16) {
        self.errors += 1;
        *self.statuses.entry(status).or_default() += 1;
    }
}

/// Sends `request` over `connections` connections for `duration`.
pub fn run(address: SocketAddr, request: &[u8], status: u16, connections: usize, duration: Duration) -> Samples {
    let stop = Arc::new(AtomicBool::new(false));
    let begun = Instant::now();
    let threads: Vec<_> = (0..connections)
        .map(|_| {
            let (request, stop) = (request.to_vec(), stop.clone());
            std::thread::spawn(move || closed(address, &request, status, &stop))
        })
        .collect();
    std::thread::sleep(duration);
    stop.store(true, Ordering::Relaxed);
    gather(threads, begun)
}

fn gather(threads: Vec<std::thread::JoinHandle<Samples>>, begun: Instant) -> Samples {
    let mut samples = Samples::default();
    for thread in threads {
        match thread.join() {
            Ok(more) => samples.add(more),
            Err(_) => samples.count(0),
        }
    }
    samples.elapsed = begun.elapsed();
    samples
}

fn closed(address: SocketAddr, request: &[u8], status: u16, stop: &AtomicBool) -> Samples {
    let mut samples = Samples { latencies_us: Vec::with_capacity(100_000), ..Samples::default() };
    let Ok(mut connection) = Connection::open(address) else {
        samples.count(0);
        return samples;
    };
    while !stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        match connection.status_of(request) {
            Ok(found) if found == status => samples.latencies_us.push(begun.elapsed().as_secs_f64() * 1e6),
            Ok(found) => samples.count(found),
            Err(_) => {
                samples.count(0);
                match Connection::open(address) {
                    Ok(fresh) => connection = fresh,
                    Err(_) => break,
                }
            }
        }
    }
    samples
}

/// Open load.
pub struct Open<'a> {
    /// The server.
    pub address: SocketAddr,
    /// The complete request.
    pub request: &'a [u8],
    /// The status of a good answer.
    pub status: u16,
    /// Requests per second.
    pub rate: f64,
    /// Connections, made before the first request is due. If all of them wait, requests go out late and are charged for it.
    pub connections: usize,
}

/// The number of a request in the schedule, and when it is due.
struct Schedule {
    begin: Instant,
    interval: Duration,
    count: u64,
    next: AtomicU64,
}

impl Schedule {
    fn next(&self) -> Option<Instant> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        (number < self.count).then(|| self.begin + self.interval.mul_f64(number as f64))
    }
}

/// Sends at a constant rate for `duration`. The samples' errors are what was not answered with the status.
pub fn run_open(open: &Open<'_>, duration: Duration) -> Samples {
    let lead = Duration::from_millis(20);
    let schedule = Arc::new(Schedule {
        begin: Instant::now() + lead,
        interval: Duration::from_secs_f64(1.0 / open.rate),
        count: (duration.as_secs_f64() * open.rate) as u64,
        next: AtomicU64::new(0),
    });
    let begun = schedule.begin;
    let threads: Vec<_> = (0..open.connections)
        .map(|_| {
            let (request, schedule) = (open.request.to_vec(), schedule.clone());
            let (address, status) = (open.address, open.status);
            std::thread::spawn(move || opened(address, &request, status, &schedule))
        })
        .collect();
    gather(threads, begun)
}

fn opened(address: SocketAddr, request: &[u8], status: u16, schedule: &Schedule) -> Samples {
    let mut samples = Samples::default();
    let mut connection = Connection::open(address);
    while let Some(due) = schedule.next() {
        if let Some(early) = due.checked_duration_since(Instant::now()) {
            std::thread::sleep(early);
        }
        let Ok(open) = &mut connection else {
            samples.count(0);
            connection = Connection::open(address);
            continue;
        };
        match open.status_of(request) {
            Ok(found) if found == status => samples.latencies_us.push(due.elapsed().as_secs_f64() * 1e6),
            Ok(found) => samples.count(found),
            Err(_) => {
                samples.count(0);
                connection = Connection::open(address);
            }
        }
    }
    samples
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    /// Answers each request; the third one after `stall`.
    fn server(stall: Duration) -> SocketAddr {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1];
            for number in 0.. {
                if stream.read_exact(&mut request).is_err() {
                    return;
                }
                if number == 2 {
                    std::thread::sleep(stall);
                }
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
            }
        });
        address
    }

    #[test]
    fn open_load_charges_a_stall_to_all_that_it_held_back() {
        let stall = Duration::from_millis(300);
        let open = Open { address: server(stall), request: b"x", status: 200, rate: 100.0, connections: 1 };
        let samples = run_open(&open, Duration::from_millis(500)).all_good().unwrap();
        assert_eq!(samples.latencies_us.len(), 50);
        let late = samples.latencies_us.iter().filter(|us| **us > 50_000.0).count();
        // A closed loop would have one. About 25 of them were due at least 50 ms before the stall ended.
        assert!((20..=45).contains(&late), "{late}");
    }

    #[test]
    fn errors_are_counted_by_status() {
        let open = Open { address: server(Duration::ZERO), request: b"x", status: 201, rate: 1000.0, connections: 1 };
        let samples = run_open(&open, Duration::from_millis(20));
        assert_eq!((samples.errors, samples.statuses[&200]), (20, 20));
        assert!(samples.all_good().is_err());
    }
}
