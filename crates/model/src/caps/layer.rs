//! Every cap there is: as one layer says it, where what is not said is nobody's opinion, and as all
//! layers come to it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{
    axis::Axis,
    delegate::DelegateTools,
    names::{Names, Table},
    path::{Granted, Withheld},
    pattern::{Endpoint, Hosts, Pins},
    words::{Caches, Inherit, NetworkMode, OnMissing, Tmp, UnixSockets},
};

/// What two layers come to where either may be silent.
fn meet<A: Axis + Clone>(one: Option<&A>, two: Option<&A>) -> Option<A> {
    match (one, two) {
        (Some(one), Some(two)) => Some(one.meet(two)),
        (one, two) => one.or(two).cloned(),
    }
}

fn beyond<A: Axis>(own: Option<&A>, bound: Option<&A>) -> Option<String> {
    own?.beyond(bound?)
}

/// Makes, from one list of all caps, what holds, what a layer says, and what is done to each cap.
macro_rules! caps {
    (
        { $($(#[$top_says:meta])* $top:ident: $top_kind:ty,)+ }
        $(
            $(#[$about:meta])*
            $group:ident: $caps:ident, $layer:ident unless $silent:literal {
                $($(#[$says:meta])* $name:ident: $kind:ty,)+
            }
        )+
    ) => {
        $(
            $(#[$about])*
            #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
            pub struct $caps { $($(#[$says])* pub $name: $kind,)+ }

            $(#[$about])*
            ///
            /// As one layer says it.
            #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
            #[serde(deny_unknown_fields)]
            pub struct $layer {
                $(
                    $(#[$says])*
                    #[serde(default, skip_serializing_if = "Option::is_none")]
                    pub $name: Option<$kind>,
                )+
            }

            impl $layer {
                fn is_silent(&self) -> bool {
                    *self == Self::default()
                }
            }
        )+

        /// What somebody may do.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
        pub struct Caps {
            $($(#[$about])* pub $group: $caps,)+
            $($(#[$top_says])* pub $top: $top_kind,)+
        }

        /// What one layer says of it. Silence is no opinion, and an empty list is nothing.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct CapsLayer {
            $(
                $(#[$about])*
                #[serde(default, skip_serializing_if = $silent)]
                pub $group: $layer,
            )+
            $(
                $(#[$top_says])*
                #[serde(default, skip_serializing_if = "Option::is_none")]
                pub $top: Option<$top_kind>,
            )+
        }

        /// Each cap by its name, in the order in which they are shown.
        pub const CAPS: &[&str] = &[
            $($(concat!(stringify!($group), ".", stringify!($name)),)+)+
            $(stringify!($top),)+
        ];

        impl CapsLayer {
            /// What both say: the most that both allow.
            #[must_use]
            pub fn meet(&self, other: &Self) -> Self {
                Self {
                    $($group: $layer {
                        $($name: meet(self.$group.$name.as_ref(), other.$group.$name.as_ref()),)+
                    },)+
                    $($top: meet(self.$top.as_ref(), other.$top.as_ref()),)+
                }
            }

            /// What holds where the layer is silent, too.
            #[must_use]
            pub fn or(&self, silent: &Caps) -> Caps {
                Caps {
                    $($group: $caps {
                        $($name: self.$group.$name.clone().unwrap_or_else(|| silent.$group.$name.clone()),)+
                    },)+
                    $($top: self.$top.clone().unwrap_or_else(|| silent.$top.clone()),)+
                }
            }

            /// The names of the caps of which it says something.
            #[must_use]
            pub fn said(&self) -> Vec<&'static str> {
                let each = [
                    $($(self.$group.$name.is_some(),)+)+
                    $(self.$top.is_some(),)+
                ];
                CAPS.iter().zip(each).filter(|(_, said)| *said).map(|(name, _)| *name).collect()
            }

            /// The names of the caps of which it says the same as the other one.
            pub(super) fn same(&self, other: &Self) -> Vec<&'static str> {
                let each = [
                    $($(self.$group.$name.is_some() && self.$group.$name == other.$group.$name,)+)+
                    $(self.$top.is_some() && self.$top == other.$top,)+
                ];
                CAPS.iter().zip(each).filter(|(_, same)| *same).map(|(name, _)| *name).collect()
            }

            /// What it asks for and the other one does not allow, by the names of the caps.
            #[must_use]
            pub fn beyond(&self, bound: &Self) -> Vec<(&'static str, String)> {
                let each = [
                    $($(beyond(self.$group.$name.as_ref(), bound.$group.$name.as_ref()),)+)+
                    $(beyond(self.$top.as_ref(), bound.$top.as_ref()),)+
                ];
                let named = CAPS.iter().zip(each);
                named.filter_map(|(name, more)| Some((*name, more?))).collect()
            }

            /// The layer with only those caps.
            pub(super) fn only(&self, keep: impl Fn(&str) -> bool) -> Self {
                Self {
                    $($group: $layer {
                        $($name: self.$group.$name.clone().filter(|_| {
                            keep(concat!(stringify!($group), ".", stringify!($name)))
                        }),)+
                    },)+
                    $($top: self.$top.clone().filter(|_| keep(stringify!($top))),)+
                }
            }
        }

        impl Caps {
            /// All of it, as a layer would say it.
            #[must_use]
            pub fn to_layer(&self) -> CapsLayer {
                CapsLayer {
                    $($group: $layer { $($name: Some(self.$group.$name.clone()),)+ },)+
                    $($top: Some(self.$top.clone()),)+
                }
            }
        }
    };
}

caps! {
    {
        /// How much of the network what it starts may ask for.
        max_network: NetworkMode,
        /// What happens where a cap cannot be kept.
        on_missing: OnMissing,
        /// Whether something that is denied may become a question.
        ask: bool,
    }

    /// `[caps.network]`: what can be reached.
    network: NetworkCaps, NetworkLayer unless "NetworkLayer::is_silent" {
        /// How much of it there is.
        mode: NetworkMode,
        /// The hosts of a list.
        allow: Hosts,
        /// Addresses of this machine that can be reached although nothing else of it can.
        forward: BTreeSet<Endpoint>,
        /// Where names are that may be near.
        pins: Pins,
    }

    /// `[caps.fs]`: files and folders.
    fs: FsCaps, FsLayer unless "FsLayer::is_silent" {
        /// What can be written.
        write: Granted,
        /// What cannot, although it is within what can.
        protect: Withheld,
        /// What cannot even be read.
        hide: Withheld,
        /// Whose folder for temporary files it is.
        tmp: Tmp,
        /// Which caches of package managers may be changed.
        caches: Caches,
        /// Which sockets of the file system may be used.
        unix_sockets: UnixSockets,
    }

    /// `[caps.env]`: variables.
    env: EnvCaps, EnvLayer unless "EnvLayer::is_silent" {
        /// Which are there without being named.
        inherit: Inherit,
        /// Those that are there besides.
        pass: Names,
        /// Those that only the program of that name is given.
        secrets: Table,
    }

    /// `[caps.tools]`: what an agent is given.
    tools: ToolCaps, ToolLayer unless "ToolLayer::is_silent" {
        /// Tools by the name of their MCP server.
        mcp: Table,
        /// Those of them that a person may be asked for where they are not given.
        may_ask: Table,
        /// Tools of our own server.
        delegate: DelegateTools,
        /// Whether the provider of the model may search the web.
        web_search: bool,
        /// Whether there may be agents that are not runs of ours.
        subagents: bool,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_is_read_back_as_it_was_written() {
        let written =
            r#"{"network":{"mode":"list","allow":["a.example"]},"fs":{"write":[]},"ask":true}"#;
        let layer: CapsLayer = serde_json::from_str(written).unwrap();
        assert_eq!(serde_json::to_string(&layer).unwrap(), written);
        assert_eq!(layer.said(), ["network.mode", "network.allow", "fs.write", "ask"]);
        assert!(serde_json::from_str::<CapsLayer>(r#"{"network":{"mod":"list"}}"#).is_err());
        assert_eq!(serde_json::to_string(&CapsLayer::default()).unwrap(), "{}");
    }

    #[test]
    fn every_cap_has_its_name() {
        assert_eq!(CAPS.len(), 21);
        assert_eq!((CAPS[0], CAPS[4], CAPS[20]), ("network.mode", "fs.write", "ask"));
    }
}
