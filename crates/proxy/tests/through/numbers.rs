//! What the way through a proxy costs, beside the way without. Run when asked for, since it measures.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    time::{Duration, Instant},
};

use proxy::{Limits, Proxy, Rules};

use crate::{
    place::{Place, connect, exchange, server},
    tunnels::open,
};

const TIMES: usize = 1000;
const BYTES: u64 = 1 << 30;

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn timed(what: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    what();
    begun.elapsed()
}

/// Memory of this process that is in use, in KiB.
fn memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn swallow(stream: &mut TcpStream) -> u64 {
    let mut buffer = vec![0; 64 * 1024];
    let mut all = 0;
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        all += u64::try_from(count).unwrap();
    }
    all
}

#[test]
#[ignore = "it measures, which takes a quiet machine"]
#[expect(clippy::print_stdout, reason = "numbers are for people")]
fn what_the_proxy_costs() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
    let port = server(move |mut stream| {
        let mut head = vec![];
        let mut buffer = [0; 4096];
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read(&mut buffer) {
                Ok(count @ 1..) => head.extend_from_slice(&buffer[..count]),
                _ => return,
            }
        }
        let _ = stream.write_all(answer.as_bytes());
    });
    let to = format!("a.example:{port}");
    let place = Place::new(&to);
    let here = SocketAddr::from(([127, 0, 0, 1], port));
    let inner = format!("GET / HTTP/1.1\r\nHost: {to}\r\n\r\n");
    let outer = format!("GET http://{to}/ HTTP/1.1\r\nHost: {to}\r\n\r\n");
    let (mut direct, mut plain, mut tunnel) = (vec![], vec![], vec![]);
    for _ in 0..TIMES {
        direct.push(timed(|| {
            assert!(exchange(&mut connect(here), inner.as_bytes()).ends_with("ok"))
        }));
        plain.push(timed(|| {
            assert!(exchange(&mut place.connect(), outer.as_bytes()).ends_with("ok"))
        }));
        tunnel.push(timed(|| {
            let mut stream = place.connect();
            open(&mut stream, &to);
            assert!(exchange(&mut stream, inner.as_bytes()).ends_with("ok"));
        }));
    }
    println!(
        "a request, median of {TIMES}: direct {:?}, proxied {:?}, tunnelled {:?}",
        median(direct),
        median(plain),
        median(tunnel)
    );

    let port = server(|mut stream| {
        let block = vec![7; 256 * 1024];
        let mut left = BYTES;
        while left > 0 && stream.write_all(&block).is_ok() {
            left -= u64::try_from(block.len()).unwrap();
        }
    });
    let to = format!("a.example:{port}");
    place.proxy.rules().replace(crate::place::policy(&to));
    let rate = |time: Duration| format!("{:.2} GB/s", BYTES as f64 / time.as_secs_f64() / 1e9);
    let (mut direct, mut tunnel) = (vec![], vec![]);
    for _ in 0..5 {
        let mut stream = connect(SocketAddr::from(([127, 0, 0, 1], port)));
        direct.push(timed(|| assert_eq!(swallow(&mut stream), BYTES)));
        let mut stream = place.connect();
        open(&mut stream, &to);
        tunnel.push(timed(|| assert_eq!(swallow(&mut stream), BYTES)));
    }
    println!("{BYTES} bytes: direct {}, tunnelled {}", rate(median(direct)), rate(median(tunnel)));

    let before = memory();
    let idle: Vec<Proxy> = (0..100)
        .map(|_| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            Proxy::start(listener, Rules::default(), Limits::default(), |_| {}).unwrap()
        })
        .collect();
    println!("an idle proxy: {} KiB", (memory() - before) / 100);
    drop(idle);
}
