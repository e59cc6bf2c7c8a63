//! Words of which one is chosen, in configs and in records.

/// An enum whose variants are what may be said, in the order of the variants.
#[macro_export]
macro_rules! choices {
    ($(#[$about:meta])* $name:ident { $($(#[$says:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$says])* $variant,)+ }

        impl $name {
            /// Each of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Each of them as it is written.
            pub const NAMES: &[&str] = &[$($word,)+];

            /// As it is written.
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
    /// Which tools a delegation server offers. The narrower is the less.
    #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    #[serde(rename_all = "snake_case")]
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
    /// What happens to a run when its question is not answered in time.
    #[derive(Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    #[serde(rename_all = "snake_case")]
    Fallback {
        /// It is paused until somebody resumes it.
        #[default]
        Pause = "pause",
        /// It goes on without an answer.
        Resume = "resume",
        /// It ends as failed.
        Fail = "fail",
    }
}

choices! {
    /// When an agent's wish to cancel has to be confirmed by a person. The narrower, which lets less
    /// pass by itself, is the less.
    ConfirmCancel {
        /// Always.
        Always = "always",
        /// Never; but a delegated run cancels only what it has started.
        Owned = "owned",
        /// Never; any run may be cancelled.
        Never = "never",
    }
}

impl std::str::FromStr for Mode {
    type Err = BadMode;

    fn from_str(text: &str) -> Result<Self, BadMode> {
        Self::named(text).ok_or_else(|| BadMode(text.to_owned()))
    }
}

/// The text is no mode.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a mode; modes are {all}", all = Mode::NAMES.join(", "))]
pub struct BadMode(String);
