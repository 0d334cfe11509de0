//! Closed-loop load: N connections, each sends its next request when the last was answered.

use crate::http::Connection;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What one run of load gave.
pub struct Samples {
    /// Latencies in microseconds, in no order.
    pub latencies_us: Vec<f64>,
    /// How long the run took.
    pub elapsed: Duration,
    /// Answers whose status was not the expected one.
    pub errors: u64,
}

impl Samples {
    /// The `fraction` quantile of the latencies, in microseconds.
    pub fn quantile_us(&self, fraction: f64) -> f64 {
        let mut sorted = self.latencies_us.clone();
        sorted.sort_by(f64::total_cmp);
        quantile(&sorted, fraction)
    }

    /// Requests per second.
    pub fn rate(&self) -> f64 {
        self.latencies_us.len() as f64 / self.elapsed.as_secs_f64()
    }
}

/// The `fraction` quantile of sorted values; 0 for none.
pub fn quantile(sorted: &[f64], fraction: f64) -> f64 {
    match sorted.len() {
        0 => 0.0,
        count => sorted[((count - 1) as f64 * fraction).round() as usize],
    }
}

/// Sends `request` over `connections` connections for `duration`.
pub fn run(address: SocketAddr, request: &[u8], status: u16, connections: usize, duration: Duration) -> Samples {
    let stop = Arc::new(AtomicBool::new(false));
    let begun = Instant::now();
    let threads: Vec<_> = (0..connections)
        .map(|_| {
            let (request, stop) = (request.to_vec(), stop.clone());
            std::thread::spawn(move || one_connection(address, &request, status, &stop))
        })
        .collect();
    std::thread::sleep(duration);
    stop.store(true, Ordering::Relaxed);
    let mut samples = Samples { latencies_us: Vec::new(), elapsed: Duration::ZERO, errors: 0 };
    for thread in threads {
        let (latencies, errors) = thread.join().unwrap_or((Vec::new(), 1));
        samples.latencies_us.extend(latencies);
        samples.errors += errors;
    }
    samples.elapsed = begun.elapsed();
    samples
}

fn one_connection(address: SocketAddr, request: &[u8], status: u16, stop: &AtomicBool) -> (Vec<f64>, u64) {
    let mut latencies = Vec::with_capacity(100_000);
    let mut errors = 0;
    let Ok(mut connection) = Connection::open(address) else {
        return (latencies, 1);
    };
    while !stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        match connection.exchange(request) {
            Ok(answer) if answer.status == status => latencies.push(begun.elapsed().as_secs_f64() * 1e6),
            Ok(_) => errors += 1,
            Err(_) => {
                errors += 1;
                match Connection::open(address) {
                    Ok(fresh) => connection = fresh,
                    Err(_) => break,
                }
            }
        }
    }
    (latencies, errors)
}
