//! Errors that are made up on purpose.

use super::error::Code;
use super::settings::{Injection, Site};

/// The injections that have not happened yet.
#[derive(Default)]
pub struct Injections {
    /// Each with how many of its kind there were since it was made.
    waiting: Vec<(Injection, u64)>,
    lost: Option<Code>,
}

impl Injections {
    pub fn new(injections: Vec<Injection>) -> Self {
        Self { waiting: injections.into_iter().map(|injection| (injection, 0)).collect(), lost: None }
    }

    pub fn add(&mut self, injection: Injection) {
        self.waiting.push((injection, 0));
    }

    /// One more at a site: the error it ends with, if it was told to.
    pub fn pass(&mut self, site: Site) -> Result<(), Code> {
        let mut hit = None;
        self.waiting.retain_mut(|(injection, count)| {
            if injection.site != site {
                return true;
            }
            *count += 1;
            let due = *count == injection.nth;
            if due {
                hit = Code::from_number(injection.code);
            }
            !due
        });
        hit.map_or(Ok(()), Err)
    }

    /// One more call: the error of a device that is lost.
    pub fn call(&mut self) -> Result<(), Code> {
        if let Err(code) = self.pass(Site::Call) {
            self.lost = Some(code);
        }
        self.lost.map_or(Ok(()), Err)
    }
}
