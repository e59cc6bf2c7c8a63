//! Preferences that are one of a few words.

/// An enum whose variants are what a config may say, in the order of the variants.
macro_rules! choices {
    ($(#[$about:meta])* $name:ident { $($(#[$says:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$says])* $variant,)+ }

        impl $name {
            /// Each of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Each of them as it is written in a config.
            pub const NAMES: &[&str] = &[$($word,)+];

            /// As it is written in a config.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// The one that is written so.
            #[must_use]
            pub fn named(text: &str) -> Option<Self> {
                match text { $($word => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

choices! {
    /// What a connection offers to whoever is on it. The narrower is the less.
    Mode {
        /// To look.
        StatusOnly = "status_only",
        /// To look, to wait, and to ask.
        QuestionOnly = "question_only",
        /// Everything.
        Full = "full",
    }
}

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
    /// What follows a question that nobody has answered in its time.
    Fallback {
        /// The run that asked stays paused, or is.
        Pause = "pause",
        /// It goes on without an answer.
        Resume = "resume",
        /// It fails.
        Fail = "fail",
    }
}

choices! {
    /// Which cancels of an agent a person has to allow. The narrower, which lets less pass by
    /// itself, is the less.
    ConfirmCancel {
        /// All.
        Always = "always",
        /// Those of runs that are not its own.
        Owned = "owned",
        /// None.
        Never = "never",
    }
}

choices! {
    /// What a person can be told of.
    Notice {
        /// A run asks something.
        Question = "question",
        /// Something waits for a person to allow it.
        Approval = "approval",
        /// A run has ended otherwise than by failing.
        Ended = "ended",
        /// A run has failed.
        Failed = "failed",
    }
}
