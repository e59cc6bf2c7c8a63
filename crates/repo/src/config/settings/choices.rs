//! Preferences that are one of a few words.

use model::choices;

choices! {
    /// Which pipelines a sandboxed session may start without a person's consent. The narrower is
    /// the less.
    PipelineTrust {
        /// Those that are as they are committed.
        Committed = "committed",
        /// Any that the work tree has.
        Any = "any",
    }
}

choices! {
    /// What happens to a run that is one too many.
    WhenFull {
        /// It is refused.
        Refuse = "refuse",
        /// It waits for its turn.
        Queue = "queue",
    }
}

choices! {
    /// What a run does when the limit of the account that its threads use is lifted again.
    WhenLimited {
        /// It goes on by itself.
        Resume = "resume",
        /// It waits for somebody to resume it.
        Wait = "wait",
    }
}
