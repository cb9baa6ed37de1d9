//! What the C library keeps of memory that nobody uses. Must not know: what memory is used for.
//!
//! Threads that wait for a slow disk are replaced by others, which serve and allocate. To each new one the allocator gives an arena of its own,
//! up to eight for each core, and each keeps some megabytes when it is empty. No more threads run at a time than there are
//! cores, so as many arenas do.

#![allow(unsafe_code)] // there is no safe word for it

/// Below this, threads would wait for one another.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const ARENAS_MIN: usize = 2;

/// To be called before there are other threads.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn bound_arenas(cores: usize) {
    let arenas = libc::c_int::try_from(cores.max(ARENAS_MIN)).unwrap_or(libc::c_int::MAX);
    // SAFETY: it takes two numbers and has no other condition; what it does not like it leaves.
    let _taken = unsafe { libc::mallopt(libc::M_ARENA_MAX, arenas) };
}

/// Other allocators have other ways.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn bound_arenas(_cores: usize) {}
