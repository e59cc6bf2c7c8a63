//! What a browser may be made to send by other pages, and what it is told about this one.

use serde_json::json;

use super::{Asked, Served};

/// A call that is good but for what `change` does to it, and which never comes to the desk.
#[track_caller]
fn check(change: impl Fn(Asked) -> Asked, status: u16, code: &str) {
    let page = Served::page();
    let answer = page.ask(&change(page.call("echo", "{}")));
    answer.refuses(status, code);
    assert!(page.heard.try_recv().is_err(), "the desk was asked");
}

#[test]
fn the_page_and_its_files_are_there() {
    let page = Served::page();
    for (path, media_type, text) in [
        ("/", "text/html; charset=utf-8", include_str!("../../assets/index.html")),
        ("/assets/page.css", "text/css; charset=utf-8", include_str!("../../assets/page.css")),
        ("/assets/page.js", "text/javascript; charset=utf-8", include_str!("../../assets/page.js")),
        ("/assets/icon.svg", "image/svg+xml", include_str!("../../assets/icon.svg")),
    ] {
        let answer = page.ask(&page.get(path));
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(media_type)));
        assert_eq!(answer.body, text);
    }
    let head = page.ask(&Asked { first: "HEAD / HTTP/1.1".to_owned(), ..page.get("/") });
    assert_eq!((head.status, head.body.as_str()), (200, ""));
}

#[test]
fn no_path_leads_anywhere_else() {
    let page = Served::page();
    for path in [
        "/index.html",
        "/assets/",
        "/assets",
        "/assets/nothing.js",
        "/assets/index.html",
        "/assets/../page.js",
        "/assets/../Cargo.toml",
        "/assets/..%2fpage.js",
        "/assets/%2e%2e/page.js",
        "/assets/./page.js",
        "/assets//page.js",
        "//assets/page.js",
        "/assets/page%2ejs",
        "/assets/page.js/",
        "/assets/page.js%00",
        "/assets\\page.js",
        "/../../etc/passwd",
        "/api",
    ] {
        let answer = page.ask(&page.get(path));
        // Some of them are no paths at all to whoever takes requests apart.
        assert!([400, 404].contains(&answer.status), "{path}: {answer:?}");
    }
    page.ask(&page.get("/assets/nothing.js")).refuses(404, "not_found");
    page.ask(&page.call("nothing", "{}")).refuses(404, "not_found");
    page.ask(&page.call("echo/more", "{}")).refuses(404, "not_found");
    page.ask(&page.call("ech%6f", "{}")).refuses(404, "not_found");
    page.ask(&page.call("echo?of=it", r#"{"a":1}"#)).gives(json!({ "a": 1 }));
}

#[test]
fn a_host_that_somebody_may_own_is_not_this_one() {
    for host in [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example:80",
        "evil.example:80",
        "localhost.",
        "127.0.0.2",
        "0.0.0.0",
        "[::]",
        "::1",
        "127.0.0.1:",
        "127.0.0.1:+80",
        "127.0.0.1:123456",
        "127.0.0.1:80@evil.example",
        "user@127.0.0.1",
        "",
    ] {
        let origin = format!("http://{host}");
        check(|asked| asked.with("Host", host).with("Origin", &origin), 421, "refused");
    }
    let page = Served::page();
    page.ask(&page.get("/").with("Host", "evil.example")).refuses(421, "refused");
}

#[test]
fn a_port_may_be_forwarded_from_anywhere() {
    let page = Served::page();
    for host in ["127.0.0.1", "localhost", "localhost:1", "[::1]", "[::1]:65535"] {
        let origin = format!("http://{host}");
        let asked = page.call("echo", "{}").with("Host", host).with("Origin", &origin);
        page.ask(&asked).gives(json!({}));
    }
}

#[test]
fn a_request_without_a_host_or_with_two_is_refused() {
    check(|asked| asked.without("Host"), 421, "refused");
    check(|asked| asked.also("Host", "evil.example"), 400, "usage");
    let page = Served::page();
    page.say("GET / HTTP/1.0\r\n\r\n").refuses(421, "refused");
    page.ask(&page.get("/").also("Host", &page.own())).refuses(400, "usage");
    let whole = format!("http://{}/", page.own());
    page.ask(&page.get(&whole)).refuses(421, "refused");
    page.ask(&page.get("http://evil.example/")).refuses(421, "refused");
}

#[test]
fn another_page_may_not_ask() {
    for origin in [
        "http://evil.example",
        "http://127.0.0.1:1",
        "http://127.0.0.1",
        "https://127.0.0.1",
        "null",
        "",
    ] {
        check(|asked| asked.with("Origin", origin), 403, "refused");
    }
    check(|asked| asked.with("Host", "localhost"), 403, "refused");
    for site in ["cross-site", "same-site", "none", ""] {
        check(|asked| asked.with("Sec-Fetch-Site", site), 403, "refused");
    }
    check(|asked| asked.also("Sec-Fetch-Site", "cross-site"), 400, "usage");
    check(|asked| asked.also("Origin", "http://evil.example"), 400, "usage");
}

#[test]
fn nobody_may_ask_without_saying_from_where() {
    check(|asked| asked.without("Origin"), 403, "refused");
    let page = Served::page();
    // Browsers that are older than this header are still browsers.
    page.ask(&page.call("echo", "{}").without("Sec-Fetch-Site")).gives(json!({}));
}

#[test]
fn a_form_is_no_request() {
    for media_type in [
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain",
        "text/plain; application/json",
        "application/jsonp",
        "",
    ] {
        check(|asked| asked.with("Content-Type", media_type), 415, "usage");
    }
    check(|asked| asked.without("Content-Type"), 415, "usage");
    let page = Served::page();
    let asked = page.call("echo", "{}").with("Content-Type", "application/json; charset=utf-8");
    page.ask(&asked).gives(json!({}));
}

#[test]
fn other_methods_are_refused_and_no_page_is_given_leave() {
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "GET", "HEAD", "CONNECT", "LOOK"] {
        let page = Served::page();
        let mut asked = page.call("echo", "{}").also("Access-Control-Request-Method", "POST");
        asked.first = format!("{method} /api/echo HTTP/1.1");
        let answer = page.ask(&asked);
        assert_eq!(answer.status, 405, "{method}: {answer:?}");
        assert!(!answer.head.to_lowercase().contains("access-control"), "{answer:?}");
    }
    let page = Served::page();
    page.ask(&page.post("/", "{}")).refuses(405, "usage");
    page.ask(&page.post("/assets/page.js", "{}")).refuses(405, "usage");
    page.ask(&page.get("/api/enter")).refuses(405, "usage");
    let answer = page.ask(&page.post("/nothing", "{}"));
    answer.refuses(404, "not_found");
}

#[test]
fn every_answer_tells_the_browser_what_it_may_do_with_it() {
    let page = Served::page();
    let shut = Served::page();
    *shut.desk.closed.lock().unwrap() = Some("it is late".to_owned());
    let refused = shut.ask(&shut.get("/"));
    let answers = [
        (200, page.ask(&page.get("/"))),
        (200, page.ask(&page.get("/assets/page.js"))),
        (200, page.ask(&page.call("echo", "{}"))),
        (400, page.ask(&page.call("echo", "["))),
        (401, page.ask(&page.post("/api/echo", "{}"))),
        (403, page.ask(&page.call("echo", "{}").without("Origin"))),
        (403, refused),
        (404, page.ask(&page.get("/nothing"))),
        (405, page.ask(&page.get("/api/echo"))),
        (409, page.ask(&page.call("conflict", "{}"))),
        (415, page.ask(&page.call("echo", "{}").without("Content-Type"))),
        (421, page.ask(&page.get("/").with("Host", "evil.example"))),
        (500, page.ask(&page.call("break", "{}"))),
    ];
    for (status, answer) in answers {
        assert_eq!(answer.status, status, "{answer:?}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{answer:?}");
        }
        let content = answer.header("content-security-policy").unwrap();
        for rule in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "connect-src 'self'",
            "img-src 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
        ] {
            assert!(content.split("; ").any(|own| own == rule), "{rule}: {content}");
        }
        let permissions = answer.header("permissions-policy").unwrap();
        assert!(permissions.split(", ").all(|each| each.ends_with("=()")), "{permissions}");
        for name in ["set-cookie", "server", "access-control-allow-origin"] {
            assert_eq!(answer.header(name), None, "{answer:?}");
        }
    }
}

#[test]
fn what_is_no_object_is_no_request() {
    for body in ["", "[]", "null", "1", "{", "{}{}", "\u{feff}{}"] {
        let length = body.len().to_string();
        let change =
            |asked: Asked| Asked { body: body.to_owned(), ..asked.with("Content-Length", &length) };
        check(change, 400, "usage");
    }
}

#[test]
fn what_is_behind_says_what_is_wrong_and_what_to_do() {
    let page = Served::page();
    let answer = page.ask(&page.call("conflict", "{}"));
    answer.refuses(409, "conflict");
    let error = json!({
        "code": "conflict", "message": "somebody was faster", "next_step": "look again",
    });
    assert_eq!(answer.json()["error"], error);
}

#[test]
fn what_breaks_behind_the_page_leaves_the_page_whole() {
    let page = Served::page();
    page.ask(&page.call("break", "{}")).refuses(500, "internal");
    page.ask(&page.call("echo", "{}")).gives(json!({}));
}

#[test]
fn a_request_that_can_be_read_in_two_ways_is_read_in_none() {
    let pieces = |asked: Asked| {
        let body = "2\r\n{}\r\n0\r\n\r\n".to_owned();
        Asked { body, ..asked.also("Transfer-Encoding", "chunked") }
    };
    check(pieces, 411, "usage");
    check(|asked| pieces(asked.without("Content-Length")), 411, "usage");
    let page = Served::page();
    let good = page.call("echo", "{}").without("Connection");
    for odd in [
        good.clone().also("Content-Length", "3"),
        good.clone().with("Content-Length", "+2"),
        good.clone().with("Content-Length", "2, 3"),
        good.clone().also("Transfer-Encoding", "identity"),
        good.clone().also("Transfer-Encoding", "chunked, identity"),
        good.clone().also("Content-Length ", "2"),
    ] {
        let answer = page.ask(&odd);
        assert!([400, 411].contains(&answer.status), "{answer:?}");
        assert!(page.heard.try_recv().is_err(), "the desk was asked: {}", odd.text());
    }
}
