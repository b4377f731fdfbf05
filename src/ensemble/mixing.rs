//! Who mixes with whom.

use crate::error::{Error, ErrorKind, Result};

/// The weights by which agents mix: a doubly stochastic matrix, rows first. Agent i takes the share `W[i][j]` from agent j.
#[derive(Clone, Debug, PartialEq)]
pub struct Mixing {
    agents: usize,
    weights: Vec<f64>,
}

/// The most agents of an ensemble: a block of CUDA threads holds an element of each in shared memory.
const MOST_AGENTS: usize = 64;

/// How far from 1 the sum of a row or column may be: weights such as 1/3 are rounded.
const TOLERANCE: f64 = 1e-9;

impl Mixing {
    /// The matrix of `agents` rows that follow one another in `weights`.
    ///
    /// Errors: no agents or more than 64; another number of weights than `agents` squared; a weight that is negative or not
    /// finite; a row or a column whose sum is further than 1e-9 from 1.
    pub fn new(agents: usize, weights: &[f64]) -> Result<Self> {
        if !(1..=MOST_AGENTS).contains(&agents) {
            return wrong(format!("there may be 1 to {MOST_AGENTS} agents, not {agents}"));
        }
        if weights.len() != agents * agents {
            return wrong(format!("{agents} agents mix by {} weights, not by {}", agents * agents, weights.len()));
        }
        for (position, &weight) in weights.iter().enumerate() {
            if !(weight.is_finite() && weight >= 0.0) {
                let (row, column) = (position / agents, position % agents);
                return wrong(format!("the weight in row {row}, column {column} is {weight}, not one of [0, ∞)"));
            }
        }
        for line in 0..agents {
            let row: f64 = weights[line * agents..(line + 1) * agents].iter().sum();
            let column: f64 = weights.iter().skip(line).step_by(agents).sum();
            for (what, sum) in [("row", row), ("column", column)] {
                if (sum - 1.0).abs() > TOLERANCE {
                    return wrong(format!("{what} {line} has the sum {sum}, not 1"));
                }
            }
        }
        Ok(Self { agents, weights: weights.to_vec() })
    }

    /// The same weight for every agent: all mix with all.
    ///
    /// Errors: no agents or more than 64.
    pub fn complete(agents: usize) -> Result<Self> {
        let weights = agents.min(MOST_AGENTS).pow(2);
        Self::new(agents, &vec![1.0 / agents as f64; weights])
    }

    /// The number of agents.
    pub fn agents(&self) -> usize {
        self.agents
    }

    /// The weights, rows first.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }
}

fn wrong(message: String) -> Result<Mixing> {
    Err(Error::from(ErrorKind::Mixing { message }))
}
