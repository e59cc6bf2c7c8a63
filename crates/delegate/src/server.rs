//! The server as the protocol sees it.

use std::sync::{Arc, Mutex, PoisonError};

use model::Denied;
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorCode,
        Implementation, ListToolsResult, PaginatedRequestParams, ServerCapabilities, ServerConfig,
        Tool,
    },
    service::RequestContext,
};
use serde_json::{Value, json};

use crate::{
    caller::Station,
    calls::Calls,
    denials::Denials,
    desk::{Call, Desk, Setup},
    forms::{Forms, Seen},
    mode::Offered,
    tools,
};

/// The first line is all that some clients show, cut at 250 characters.
const INSTRUCTIONS: &str = "\
Background runs with delegate.spawn, .status, .wait, .pause, .cancel, .list, .log, .result; questions with delegate.question.enqueue, .poll, .list, .answer.

delegate.spawn starts a pipeline of this repository in the background and comes back at once; the run goes on \
when this session ends. Then call delegate.wait, which comes back at the first thing that happens to any of your \
runs (one ended, one asks), and call it again with the cursor it gave. Do not poll delegate.status in a loop. \
When a run asks something, answer it with delegate.question.answer. To ask your own parent, or a person, call \
delegate.question.enqueue and then delegate.question.poll. Name runs by the literal path of their manifest.";

/// The same for a server that only looks and asks.
const CHILD_INSTRUCTIONS: &str = "\
You are a delegated run: ask your parent with delegate.question.enqueue, look for the answer with .poll; delegate.status and .wait show how you stand.

Ask only what you cannot find out. A question holds your run's next stage until it is answered, unless auto_pause \
is false. An unanswered poll is no error: poll again, with wait_ms.";

/// A delegation server.
#[derive(Clone, Debug)]
pub struct Delegate {
    desk: Arc<Desk>,
    calls: Calls,
    /// Who hears of calls of tools that are not granted.
    withheld: Option<Arc<Mutex<Denials<Tell>>>>,
    /// Questions that whoever sits at the session was shown.
    seen: Seen,
}

type Tell = Box<dyn FnMut(&str, u64) + Send>;

impl Delegate {
    /// A server for one connection.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        let desk = Arc::new(Desk::new(setup));
        Self { desk, calls: Calls::default(), withheld: None, seen: Seen::default() }
    }

    /// The same, which tells of calls of tools that the caps of its run do not name: by the name of the
    /// tool, with how often since it was told last, at once and then at most once in a second.
    #[must_use]
    pub fn telling(self, withheld: impl FnMut(&str, u64) + Send + 'static) -> Self {
        let tell: Tell = Box::new(withheld);
        Self { withheld: Some(Arc::new(Mutex::new(Denials::new(tell)))), ..self }
    }

    /// Tells what was not told yet.
    pub fn tell_the_rest(&self) {
        if let Some(withheld) = &self.withheld {
            withheld.lock().unwrap_or_else(PoisonError::into_inner).tell_the_rest();
        }
    }

    fn offered(&self) -> impl Iterator<Item = &'static tools::Entry> {
        let offered = Offered::now(&self.desk);
        tools::ALL.iter().filter(move |entry| offered.has(entry))
    }

    /// The tool of that name, if it is offered now; otherwise why it is not.
    fn tool(&self, name: &str) -> Result<&'static tools::Entry, String> {
        let offered = Offered::now(&self.desk);
        let Some(entry) = tools::ALL.iter().find(|entry| entry.name == name) else {
            return Err(format!("there is no tool `{}` here", name.escape_debug()));
        };
        match (offered.has(entry), offered.grants(entry.name)) {
            (true, _) => Ok(entry),
            (false, true) => Err(format!("there is no tool `{name}` here")),
            (false, false) => {
                if let Some(withheld) = &self.withheld {
                    withheld.lock().unwrap_or_else(PoisonError::into_inner).count(entry.name);
                }
                Err(Denied::NotGranted(entry.plain_name()).to_string())
            }
        }
    }
}

impl ServerHandler for Delegate {
    fn get_info(&self) -> ServerConfig {
        let mut capabilities = ServerCapabilities::builder().enable_tools().build();
        // Codex then says with each call how its caller is sandboxed.
        let asks = json!({ "codex/sandbox-state-meta": {} });
        capabilities.experimental = serde_json::from_value(asks).ok();
        let mut server = Implementation::new("codex-orchestrator", env!("CARGO_PKG_VERSION"));
        server.title = Some("Delegated runs".to_owned());
        let instructions = match self.desk.setup.station {
            Station::Session => INSTRUCTIONS,
            Station::Run(_) => CHILD_INSTRUCTIONS,
        };
        let mut info = ServerConfig::new(capabilities);
        info.server_info = server;
        info.instructions = Some(instructions.to_owned());
        info
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        call: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let own = self.clone();
        // Reads the config.
        let tools = self
            .calls
            .run(&call, move |_| own.offered().map(tools::Entry::tool).collect::<Vec<Tool>>());
        Ok(ListToolsResult::with_all_items(tools.await?))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        call: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let name = request.name.to_string();
        let arguments = request.arguments.unwrap_or_default();
        let meta = serde_json::to_value(&call.meta).unwrap_or_default();
        let own = self.clone();
        let forms = Forms::of(&call.peer, &self.seen);
        let done = self.calls.run(&call, move |stop| {
            let entry = own.tool(&name)?;
            let call = Call { desk: &own.desk, caller: own.desk.caller(&meta), forms, stop };
            Ok::<_, String>((entry.call)(&call, arguments))
        });
        match done.await? {
            Ok(done) => Ok(answer(done).into()),
            Err(why) => Err(ErrorData::new(ErrorCode::INVALID_PARAMS, why, None)),
        }
    }
}

fn answer(done: Result<Value, crate::fault::Fault>) -> CallToolResult {
    let (value, failed) = match done {
        Ok(value) => (value, false),
        Err(fault) => (json!({ "error": fault }), true),
    };
    let text = vec![ContentBlock::text(value.to_string())];
    let mut result = match failed {
        false => CallToolResult::success(text),
        true => CallToolResult::error(text),
    };
    result.structured_content = Some(value);
    result
}
