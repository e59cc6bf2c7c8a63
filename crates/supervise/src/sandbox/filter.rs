//! Which system calls a caged tree may make.
//!
//! Lists of what is refused, not of what is allowed: programs that nobody here has met must work.
//! What is refused is what leads around the other walls, and what no stage of a pipeline needs.

use std::collections::BTreeMap;
use std::io;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, sock_filter,
};

use super::snag::{FILTER, Snag};
use super::{Cage, Net, Profile, UnixSockets};

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// The kernel's numbers for what `clone` and `unshare` can make new, without what a signal's
/// number could be taken for.
const NAMESPACES: [i32; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

const CLONE_NEWTIME: u64 = 0x80;

/// Refused in every cage: other ways to the same end, and what is the machine's.
const ALWAYS: [i64; 21] = [
    libc::SYS_add_key,
    libc::SYS_bpf,
    libc::SYS_delete_module,
    libc::SYS_fanotify_init,
    libc::SYS_finit_module,
    libc::SYS_init_module,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_lookup_dcookie,
    // Opens by number what no path leads to: files outside, and namespaces.
    libc::SYS_open_by_handle_at,
    libc::SYS_perf_event_open,
    libc::SYS_quotactl,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_syslog,
    libc::SYS_userfaultfd,
    libc::SYS_acct,
];

/// Refused as if the kernel did not know them, so that programs do without. Requests in a ring
/// are seen by no filter.
const UNKNOWN: [i64; 3] =
    [libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register];

/// Refused where no sandbox is to be built inside.
const STRICT: [i64; 18] = [
    libc::SYS_chroot,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_kcmp,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_tree,
    libc::SYS_pidfd_getfd,
    libc::SYS_pivot_root,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
    libc::SYS_setns,
    libc::SYS_umount2,
];

/// What a cage's filters refuse, as programs for the kernel.
pub(super) struct Filters(Vec<BpfProgram>);

impl Filters {
    pub(super) fn of(cage: &Cage, own_namespaces: bool) -> Result<Filters, Snag> {
        let strict = cage.profile == Profile::Strict;
        let mut refused = Rules::new();
        let mut unknown = Rules::new();
        refused.extend(ALWAYS.map(|call| (call, Vec::new())));
        unknown.extend(UNKNOWN.map(|call| (call, Vec::new())));
        if strict {
            refused.extend(STRICT.map(|call| (call, Vec::new())));
            let new = NAMESPACES.map(|flag| bits_at(0, flag as u32 as u64));
            let new = rules(new)?;
            let time = rules([bits_at(0, CLONE_NEWTIME)])?;
            refused.insert(libc::SYS_unshare, [new.clone(), time].concat());
            refused.insert(libc::SYS_clone, new);
            // Its flags are in memory, where no filter looks; everybody knows how to do without.
            unknown.insert(libc::SYS_clone3, Vec::new());
        }
        // Typing on a terminal as if its user did.
        let typing = [libc::TIOCSTI, libc::TIOCLINUX].map(|request| is_at(1, request));
        refused.insert(libc::SYS_ioctl, rules(typing)?);
        // Whoever may only read a file could make everybody wait who wants to write it.
        let leasing = [is_at(1, libc::F_SETLEASE as u64)];
        refused.insert(libc::SYS_fcntl, rules(leasing)?);
        let mut families = Rules::new();
        let allowed = allowed_families(cage, own_namespaces);
        families.insert(libc::SYS_socket, vec![none_of(&allowed)?]);
        if cage.unix_sockets == UnixSockets::Deny && cage.covers_sockets().is_some() {
            // Whoever listens for others listens for streams, mostly, and packets.
            let kinds = [libc::SOCK_STREAM, libc::SOCK_SEQPACKET, libc::SOCK_RAW];
            let unix = kinds.map(|kind| both(is_at(0, libc::AF_UNIX as u64), kind_at(kind)));
            let unix = unix.into_iter().collect::<Result<Vec<_>, _>>()?;
            families.entry(libc::SYS_socket).or_default().extend(unix);
        } else if cage.unix_sockets == UnixSockets::Deny {
            // A pair of these can be connected anew, to any path.
            let kinds = [libc::SOCK_DGRAM, libc::SOCK_RAW];
            let pairs = kinds.map(kind_at);
            refused.insert(libc::SYS_socketpair, rules(pairs)?);
        }
        let programs =
            [(refused, libc::EPERM), (unknown, libc::ENOSYS), (families, libc::EAFNOSUPPORT)];
        let programs = programs.map(|(rules, errno)| compile(rules, errno));
        Ok(Filters(programs.into_iter().collect::<Result<_, _>>()?))
    }

    /// The same for the same filters.
    pub(super) fn number(&self) -> u64 {
        let instructions = self.0.iter().flatten();
        instructions.fold(0xcbf2_9ce4_8422_2325_u64, |hash, one| {
            let word = u64::from(one.k)
                | u64::from(one.code) << 32
                | u64::from(one.jt) << 48
                | u64::from(one.jf) << 56;
            (hash ^ word).wrapping_mul(0x0000_0100_0000_01b3)
        })
    }

    /// Puts the calling process under them, for good.
    pub(super) fn install(&self) -> Result<(), Snag> {
        for program in &self.0 {
            seccompiler::apply_filter(program).map_err(|error| {
                let errno = match error {
                    seccompiler::Error::Prctl(error) | seccompiler::Error::Seccomp(error) => error,
                    other => io::Error::other(other.to_string()),
                };
                Snag::io(FILTER)(errno)
            })?;
        }
        Ok(())
    }
}

fn allowed_families(cage: &Cage, own_namespaces: bool) -> Vec<i32> {
    // Never vsock, which no namespace confines, nor anything else that leads to hardware or to
    // the kernel's odder corners.
    let mut families = vec![libc::AF_NETLINK];
    if cage.network == Net::Open || own_namespaces {
        families.extend([libc::AF_INET, libc::AF_INET6]);
    }
    if cage.unix_sockets != UnixSockets::Deny || cage.covers_sockets().is_some() {
        families.push(libc::AF_UNIX);
    }
    families
}

fn compile(rules: Rules, errno: i32) -> Result<BpfProgram, Snag> {
    let odd = |error: seccompiler::BackendError| Snag::io(FILTER)(io::Error::other(error));
    let arch = std::env::consts::ARCH.try_into().map_err(odd)?;
    let refuse = SeccompAction::Errno(errno as u32);
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, arch).map_err(odd)?;
    // A call by another architecture's numbers ends the process: these are compared with ours.
    let program: BpfProgram = filter.try_into().map_err(odd)?;
    Ok(without_x32(program))
}

/// Puts before a program that calls by the numbers of x32, which pass for another architecture's
/// only by a bit, are unknown.
fn without_x32(program: BpfProgram) -> BpfProgram {
    if !cfg!(target_arch = "x86_64") {
        return program;
    }
    const LOAD_NUMBER: u16 = 0x20;
    const JUMP_IF_GREATER_OR_EQUAL: u16 = 0x35;
    const RETURN: u16 = 0x06;
    const X32: u32 = 0x4000_0000;
    let unknown = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
    let before = [
        sock_filter { code: LOAD_NUMBER, jt: 0, jf: 0, k: 0 },
        sock_filter { code: JUMP_IF_GREATER_OR_EQUAL, jt: 0, jf: 1, k: X32 },
        sock_filter { code: RETURN, jt: 0, jf: 0, k: unknown },
    ];
    before.into_iter().chain(program).collect()
}

type Condition = Result<SeccompCondition, seccompiler::BackendError>;

/// Each condition by itself is enough.
fn rules(conditions: impl IntoIterator<Item = Condition>) -> Result<Vec<SeccompRule>, Snag> {
    let rule = |condition: Condition| SeccompRule::new(vec![condition?]);
    let rules = conditions.into_iter().map(rule).collect::<Result<_, _>>();
    rules.map_err(|error| Snag::io(FILTER)(io::Error::other(error)))
}

fn none_of(families: &[i32]) -> Result<SeccompRule, Snag> {
    let other = |family: &i32| {
        SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, *family as u64)
    };
    let conditions = families.iter().map(other).collect::<Result<_, _>>();
    conditions.and_then(SeccompRule::new).map_err(|error| Snag::io(FILTER)(io::Error::other(error)))
}

/// Both conditions together are enough.
fn both(one: Condition, other: Condition) -> Result<SeccompRule, Snag> {
    let rule = one.and_then(|one| SeccompRule::new(vec![one, other?]));
    rule.map_err(|error| Snag::io(FILTER)(io::Error::other(error)))
}

/// A socket of this kind, whatever flags come with it.
fn kind_at(kind: i32) -> Condition {
    masked_at(1, 0xf, kind as u64)
}

/// All these bits are set in an argument.
fn bits_at(argument: u8, bits: u64) -> Condition {
    masked_at(argument, bits, bits)
}

fn masked_at(argument: u8, mask: u64, value: u64) -> Condition {
    let compare = SeccompCmpOp::MaskedEq(mask);
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, compare, value)
}

/// An argument is this; of the kernel's `int`s only the lower half is looked at, here and there.
fn is_at(argument: u8, value: libc::c_ulong) -> Condition {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
}
