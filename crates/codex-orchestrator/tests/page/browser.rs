//! A browser with one page, and what a person can do with it.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::pipe::Pipe;

/// How long a fact may take to come about on a machine that is busy with other tests.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// What finds an element by a selector, and by a text in it where one is given; what is not shown
/// is not there.
const FIND: &str = "(selector, text) => [...document.querySelectorAll(selector)].find((node) =>
  node.checkVisibility({ visibilityProperty: true }) &&
  (text === null || (node.innerText ?? node.textContent).includes(text)))";

pub(crate) struct Browser {
    pipe: Pipe,
    /// Its windows, with a page in each, and the one that is in front.
    windows: Vec<String>,
    front: usize,
    name: &'static str,
    complaints: Vec<String>,
    forgiven: Vec<String>,
    _profile: TempDir,
}

impl Browser {
    /// A browser for the test of that name; none where there is no Chromium, which is said.
    pub(crate) fn start(name: &'static str) -> Option<Self> {
        let profile = TempDir::new().expect("a folder");
        let Some(pipe) = Pipe::open(profile.path()) else {
            say_that_it_was_skipped();
            return None;
        };
        let (windows, complaints, forgiven) = (Vec::new(), Vec::new(), Vec::new());
        let mut browser =
            Self { pipe, windows, front: 0, name, complaints, forgiven, _profile: profile };
        browser.open_window();
        Some(browser)
    }

    /// Opens another window of it, which is in front then, and gives its number.
    pub(crate) fn open_window(&mut self) -> usize {
        let mut call = |method, params| {
            let answer = self.pipe.call(None, method, &params);
            answer.unwrap_or_else(|error| panic!("{method}: {error}"))
        };
        let made = call("Target.createTarget", json!({ "url": "about:blank", "newWindow": true }));
        let attach = json!({ "targetId": made["targetId"], "flatten": true });
        let attached = call("Target.attachToTarget", attach);
        self.windows.push(attached["sessionId"].as_str().expect("a session").to_owned());
        self.front = self.windows.len() - 1;
        for method in ["Page.enable", "Runtime.enable", "Log.enable"] {
            self.call(method, &json!({}));
        }
        self.size(1200, 900);
        self.front
    }

    /// Puts the window of that number in front.
    pub(crate) fn turn_to(&mut self, window: usize) {
        self.front = window;
    }

    #[track_caller]
    fn call(&mut self, method: &str, params: &Value) -> Value {
        let answer = self.pipe.call(Some(&self.windows[self.front]), method, params);
        self.listen();
        answer.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// Notes what the page and the browser complain of.
    fn listen(&mut self) {
        for event in self.pipe.events() {
            let params = &event["params"];
            let complaint = match event["method"].as_str() {
                Some("Runtime.exceptionThrown") => {
                    let details = &params["exceptionDetails"];
                    let said = details["exception"]["description"].as_str();
                    said.or(details["text"].as_str()).map(ToOwned::to_owned)
                }
                Some("Runtime.consoleAPICalled")
                    if ["error", "assert"].contains(&params["type"].as_str().unwrap_or("")) =>
                {
                    Some(params["args"].to_string())
                }
                // What a policy forbids is said here, as what could not be loaded is.
                Some("Log.entryAdded") if params["entry"]["level"] == "error" => {
                    let entry = &params["entry"];
                    let text = entry["text"].as_str().unwrap_or_default();
                    Some(format!("{text} {}", entry["url"].as_str().unwrap_or_default()))
                }
                _ => None,
            };
            self.complaints.extend(complaint);
        }
    }

    /// What was complained of so far and was not expected.
    pub(crate) fn complaints(&mut self) -> Vec<String> {
        // What happened before this is answered has been told before it.
        self.evaluate("0");
        let forgiven = &self.forgiven;
        let is_forgiven = |said: &String| forgiven.iter().any(|text| said.contains(text));
        self.complaints.retain(|said| !is_forgiven(said));
        self.complaints.clone()
    }

    /// A complaint with that in it is part of the story.
    pub(crate) fn forgive(&mut self, text: &str) {
        self.forgiven.push(text.to_owned());
    }

    /// Ends it, and fails if there was any complaint. With `E2E_PICTURES` set, a picture of what was shown
    /// last is left as well.
    #[track_caller]
    pub(crate) fn close(mut self) {
        self.picture("");
        let complaints = self.complaints();
        assert!(complaints.is_empty(), "the page complains: {complaints:#?}");
    }

    /// Makes the window so large.
    pub(crate) fn size(&mut self, width: u32, height: u32) {
        let metrics =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", &metrics);
    }

    /// Goes to an address, as if it were typed.
    #[track_caller]
    pub(crate) fn open(&mut self, url: &str) {
        let answer = self.call("Page.navigate", &json!({ "url": url }));
        assert!(answer["errorText"].is_null(), "{url}: {answer}");
    }

    /// What an expression comes to in the page; a promise is waited for.
    #[track_caller]
    pub(crate) fn evaluate(&mut self, expression: &str) -> Value {
        self.try_evaluate(expression).unwrap_or_else(|error| panic!("`{expression}`: {error}"))
    }

    fn try_evaluate(&mut self, expression: &str) -> Result<Value, String> {
        let params =
            json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let answer = self.pipe.call(Some(&self.windows[self.front]), "Runtime.evaluate", &params);
        self.listen();
        let mut answer = answer?;
        match answer["exceptionDetails"]["exception"]["description"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(answer["result"]["value"].take()),
        }
    }

    /// Waits until an expression is true.
    #[track_caller]
    pub(crate) fn wait_until(&mut self, what: &str, expression: &str) {
        let deadline = Instant::now() + LONG;
        // A page that is being left answers nothing: the next one is asked.
        while self.try_evaluate(expression) != Ok(Value::Bool(true)) {
            if Instant::now() > deadline {
                let seen = self.try_evaluate("document.body.innerText").unwrap_or_default();
                let seen = seen.as_str().unwrap_or("nothing");
                panic!("{what}: not within {LONG:?}; the page shows:\n{seen}");
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }

    /// Waits until something like that is shown.
    #[track_caller]
    pub(crate) fn see(&mut self, selector: &str) {
        let found = find(selector, None);
        self.wait_until(&format!("`{selector}` is shown"), &format!("{found} !== undefined"));
    }

    /// Waits until something like that is shown, with this text in it.
    #[track_caller]
    pub(crate) fn see_text(&mut self, selector: &str, text: &str) {
        let found = find(selector, Some(text));
        let what = format!("`{selector}` with {text:?} is shown");
        self.wait_until(&what, &format!("{found} !== undefined"));
    }

    /// Waits until nothing like that is shown any more.
    #[track_caller]
    pub(crate) fn see_no(&mut self, selector: &str, text: Option<&str>) {
        let found = find(selector, text);
        let what = format!("`{selector}` with {text:?} is gone");
        self.wait_until(&what, &format!("{found} === undefined"));
    }

    /// What is to be read in the first of these.
    #[track_caller]
    pub(crate) fn text(&mut self, selector: &str) -> String {
        self.see(selector);
        let text = self.evaluate(&format!("{}.innerText", find(selector, None)));
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Clicks with a mouse in the middle of the first that is like that and has the text in it, once
    /// it can be clicked there; and again, as a person does, where that was not hit because the page moved.
    #[track_caller]
    pub(crate) fn click(&mut self, selector: &str, text: Option<&str>) {
        let what = format!("`{selector}` with {text:?} can be clicked");
        let found = find(selector, text);
        // What is off, inert, or under something else is not hit.
        let point = format!(
            "(() => {{
               const node = {found};
               if (node === undefined || node.matches(':disabled')) return false;
               node.scrollIntoView({{ block: 'nearest', behavior: 'instant' }});
               const box = node.getBoundingClientRect();
               const [x, y] = [box.left + box.width / 2, box.top + box.height / 2];
               if (!node.contains(document.elementFromPoint(x, y))) return false;
               window.__aim = [x, y];
               window.__hit = false;
               const note = {{ once: true, capture: true }};
               node.addEventListener('click', () => {{ window.__hit = true; }}, note);
               return true;
             }})()"
        );
        loop {
            self.wait_until(&what, &point);
            let aim = self.evaluate("window.__aim");
            for kind in ["mousePressed", "mouseReleased"] {
                let event = json!({ "type": kind, "x": aim[0], "y": aim[1], "button": "left", "clickCount": 1 });
                self.call("Input.dispatchMouseEvent", &event);
            }
            if self.evaluate("window.__hit") == true {
                return;
            }
        }
    }

    /// Types into whatever has the focus.
    pub(crate) fn type_in(&mut self, text: &str) {
        self.call("Input.insertText", &json!({ "text": text }));
    }

    /// Presses and releases a key: `Enter`, `Escape` or `Tab`.
    pub(crate) fn press(&mut self, key: &str) {
        let (code, text) = match key {
            "Enter" => (13, Some("\r")),
            "Escape" => (27, None),
            "Tab" => (9, None),
            other => panic!("`{other}` is not a key that tests know"),
        };
        let mut event =
            json!({ "type": "keyDown", "key": key, "code": key, "windowsVirtualKeyCode": code });
        if let Some(text) = text {
            event["text"] = text.into();
        }
        self.call("Input.dispatchKeyEvent", &event);
        event["type"] = "keyUp".into();
        self.call("Input.dispatchKeyEvent", &event);
    }

    /// With `E2E_PICTURES` set, leaves what is to be seen in `target/page/`, by the name of the test and
    /// that one.
    pub(crate) fn picture(&mut self, of: &str) {
        if std::env::var_os("E2E_PICTURES").is_some() {
            // What was done last is drawn by then.
            self.evaluate(
                "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))",
            );
            self.leave_a_picture(of);
        }
    }

    fn leave_a_picture(&mut self, of: &str) -> Option<PathBuf> {
        let taken = self.pipe.call(
            Some(&self.windows[self.front]),
            "Page.captureScreenshot",
            &json!({ "format": "png" }),
        );
        let bytes = BASE64_STANDARD.decode(taken.ok()?["data"].as_str()?).ok()?;
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).parent()?.join("page");
        std::fs::create_dir_all(&folder).ok()?;
        let file = folder.join(format!("{}{of}.png", self.name));
        std::fs::write(&file, bytes).ok()?;
        Some(file)
    }
}

impl Drop for Browser {
    #[expect(clippy::print_stderr, reason = "whoever looks why a test failed is to find it")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            if let Some(file) = self.leave_a_picture("") {
                eprintln!("what the browser showed is in {}", file.display());
            }
            eprintln!("what was complained of: {:#?}", self.complaints);
        }
    }
}

fn find(selector: &str, text: Option<&str>) -> String {
    format!("({FIND})({}, {})", json!(selector), json!(text))
}

#[expect(clippy::print_stderr, reason = "whoever reads the results of the tests is to know")]
fn say_that_it_was_skipped() {
    eprintln!("skipped: no Chromium; `scripts/setup --tests` installs it with apt");
}
