//! A server with tools that only tests want.

use std::{
    io::{Read, Write},
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

use delegate::{Calls, Stop};
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, JsonObject,
        ListToolsResult, PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
    },
    service::RequestContext,
};

/// Nothing that a test waits for takes longer than this.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// What its calls are doing. A clone is the same server.
#[derive(Clone, Default)]
pub(crate) struct Demo {
    calls: Calls,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    facts: Mutex<Facts>,
    changed: Condvar,
}

#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// Calls of `wait` and `deaf` that have begun and not ended.
    pub(crate) open: usize,
    /// Calls of `wait` that were told to stop, and did.
    pub(crate) stopped: usize,
    /// Calls of `deaf` may end.
    pub(crate) released: bool,
}

impl Demo {
    /// Waits until that is so.
    pub(crate) fn until(&self, so: impl Fn(&Facts) -> bool) {
        let facts = self.shared.facts.lock().unwrap();
        let (facts, late) =
            self.shared.changed.wait_timeout_while(facts, DEADLINE, |facts| !so(facts)).unwrap();
        assert!(!late.timed_out(), "it never came to that: {facts:?}");
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Facts)) {
        change(&mut self.shared.facts.lock().unwrap());
        self.shared.changed.notify_all();
    }

    /// Blocks until it is told to stop, in a call that knows nothing of stops.
    fn wait(&self, stop: &Stop) -> String {
        let (mut woken, mut wake) = std::io::pipe().unwrap();
        stop.on_stop(move || wake.write_all(b"!").unwrap());
        self.change(|facts| facts.open += 1);
        woken.read_exact(&mut [0]).unwrap();
        assert!(stop.stopped() && stop.wait(Duration::ZERO));
        self.change(|facts| {
            facts.open -= 1;
            facts.stopped += 1;
        });
        "stopped".to_owned()
    }

    /// Blocks and minds no stop.
    fn deaf(&self) -> String {
        self.change(|facts| facts.open += 1);
        self.until(|facts| facts.released);
        self.change(|facts| facts.open -= 1);
        "released".to_owned()
    }
}

impl ServerHandler for Demo {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let tools = ["echo", "wait", "deaf", "panic"];
        let tools = tools.map(|name| Tool::new(name, "for tests", JsonObject::new()));
        Ok(ListToolsResult::with_all_items(tools.into()))
    }

    async fn call_tool(
        &self,
        call: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let demo = self.clone();
        let arguments = serde_json::to_string(&call.arguments).unwrap();
        let said = match &*call.name {
            "echo" => arguments,
            "wait" => self.calls.run(&context, move |stop| demo.wait(stop)).await?,
            "deaf" => self.calls.run(&context, move |_| demo.deaf()).await?,
            "panic" => self.calls.run(&context, |_| panic!("as asked")).await?,
            other => return Err(ErrorData::invalid_params(format!("no tool `{other}`"), None)),
        };
        Ok(CallToolResult::success(vec![ContentBlock::text(said)]).into())
    }
}
