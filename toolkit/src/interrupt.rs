//! Ctrl-C and SIGTERM, for a run that has something to take away behind it.
//!
//! The signal ends the processes that were started, so that whatever waits for one of them fails, and the error leaves
//! through the destructors that clean up.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
static CHILDREN: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// The exit code of a run that a signal ended: 128 and the number of SIGINT.
pub const EXIT_CODE: u8 = 130;

/// From here on a signal interrupts rather than kills.
pub fn handle() -> Result<(), ctrlc::Error> {
    ctrlc::set_handler(|| {
        INTERRUPTED.store(true, Ordering::SeqCst);
        for child in &*CHILDREN.lock().unwrap_or_else(PoisonError::into_inner) {
            stop(*child);
        }
    })
}

/// Whether a signal came.
#[must_use]
pub fn is_interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// A process that a signal to us ends, for as long as this lives.
#[derive(Debug)]
pub struct Guarded(Pid);

impl Guarded {
    /// Guards the process of this number.
    #[must_use]
    pub fn new(process: u32) -> Self {
        let process = Pid::from_raw(process.cast_signed());
        CHILDREN.lock().unwrap_or_else(PoisonError::into_inner).push(process);
        if is_interrupted() {
            // The signal came before the process was known.
            stop(process);
        }
        Self(process)
    }

    /// Asks the process to end: of a PostgreSQL server, without waiting for its clients.
    pub fn stop(&self) {
        stop(self.0);
    }

    /// Ends the process where asking did not.
    pub fn quit(&self) {
        let _ = kill(self.0, Signal::SIGQUIT);
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        CHILDREN.lock().unwrap_or_else(PoisonError::into_inner).retain(|child| *child != self.0);
    }
}

fn stop(process: Pid) {
    // It may have ended by itself.
    let _ = kill(process, Signal::SIGINT);
}
