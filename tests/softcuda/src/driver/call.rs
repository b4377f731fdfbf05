//! What every call of the driver API has in common: the lock, the errors that no function gets past, the trace.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use super::error::{Answer, Code};
use super::settings::variable;
use super::state::Session;

/// What a function needs before it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing: it answers even of a lost device.
    Nothing,
    /// `cuInit`.
    Start,
    /// A context of the thread that has no error.
    Context,
    /// `cuInit`; it runs even if the thread's context has an error, and then tells that.
    Cleanup,
}

/// Runs a function of the API: the number of its error, 0 for success. The arguments are printed if they are given.
pub fn call(
    name: &'static str,
    needs: Needs,
    arguments: Option<String>,
    run: impl FnOnce(&mut Session) -> Answer,
) -> i32 {
    let answer = catch_unwind(AssertUnwindSafe(|| enter(name, needs, run)));
    // The panic's message is printed where it happened. 999 is what a driver tells of its own failures.
    let code = answer.unwrap_or(Err(Code::UNKNOWN)).map_or_else(|code| code.number(), |()| 0);
    if let Some(arguments) = arguments {
        eprintln!("softcuda: {name}({arguments}) = {code}");
    }
    code as i32
}

fn enter(name: &'static str, needs: Needs, run: impl FnOnce(&mut Session) -> Answer) -> Answer {
    let mut session = Session::open().map_err(|message| {
        eprintln!("softcuda: {message}");
        Code::NOT_INITIALIZED
    })?;
    *session.report.calls.entry(name.to_owned()).or_default() += 1;
    if needs == Needs::Nothing {
        return run(&mut session);
    }
    let lost = session.injections.call();
    if !session.initialised {
        return Err(Code::NOT_INITIALIZED);
    }
    match needs {
        Needs::Cleanup => {
            let answer = run(&mut session);
            lost.and(session.context_error()).and(answer)
        }
        Needs::Context => {
            lost?;
            session.context()?;
            run(&mut session)
        }
        Needs::Start | Needs::Nothing => {
            lost?;
            run(&mut session)
        }
    }
}

/// Whether calls are printed.
pub fn traced() -> bool {
    static TRACED: OnceLock<bool> = OnceLock::new();
    *TRACED.get_or_init(|| variable("SOFTCUDA_TRACE").is_some_and(|value| value != "0"))
}
