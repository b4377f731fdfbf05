//! Conversions.

use super::Modifiers;
use crate::front::Result;
use crate::front::body::Body;
use crate::ir::{Operation, Type};

pub(super) fn cvt(body: &mut Body<'_, '_>, modifiers: &Modifiers<'_>) -> Result<Operation> {
    let (to, from, mode) = (modifiers.first_type(), modifiers.ty(), modifiers.float_mode());
    let (dst, a) = (body.destination()?, body.operand(from)?);
    Ok(if matches!(to, Type::F16x2 | Type::Bf16x2) {
        Operation::CvtPair { mode, to, dst, a, b: body.next_operand(from)? }
    } else {
        Operation::Cvt { mode, to, from, dst, a }
    })
}
