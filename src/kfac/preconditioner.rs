use super::settings::{Curvature, DampingForm, KfacSettings};
use crate::device::Device;
use crate::element::Real;
use crate::error::Result;
use crate::linalg::{
    Block, EigenApply, EigenLayer, Eigenbases, Eigenbasis, Eigh, EighReport, Epilogue, Inverses, KlClip, KronApply,
    LayerDirection, LayerGradient, Linear, Report, SpdInverse, Symmetric,
};
use crate::memory::{Buffer, MatMut, MatRef};

/// What became of a factor when [`Kfac`](super::Kfac) was inverted last.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FactorReport {
    /// With [`DampingForm::Factored`], of its inverse.
    Inverse(Report),
    /// With [`DampingForm::Exact`], of its eigendecomposition.
    Eigenbasis(EighReport),
}

impl FactorReport {
    /// Whether the inverse, or the eigendecomposition, is of the factor as it was then.
    pub fn is_renewed(&self) -> bool {
        match self {
            Self::Inverse(report) => report.is_inverted(),
            Self::Eigenbasis(report) => report.is_decomposed(),
        }
    }
}

/// Elements that a row of a matrix is a multiple of: whole sectors of f32.
const ROW: usize = 8;

fn stride(order: usize) -> usize {
    order.next_multiple_of(ROW)
}

/// What makes directions of gradients. Factors are in all lists of each layer A, then G where there is one.
pub(super) struct Preconditioner<T: Real> {
    orders: Vec<usize>,
    has_outputs: bool,
    /// Inverses, or eigenvectors, whose rows begin at multiples of [`ROW`] elements.
    matrices: Vec<Buffer<T>>,
    form: Form<T>,
}

enum Form<T: Real> {
    Factored { inversion: SpdInverse<T>, apply: KronApply<T> },
    Exact { decomposition: Eigh<T>, values: Vec<Buffer<T>>, apply: EigenApply<T> },
}

impl<T: Real> Preconditioner<T> {
    pub(super) fn new(device: &Device, layers: &[Linear], settings: &KfacSettings) -> Result<Self> {
        let has_outputs = settings.curvature == Curvature::InputsAndOutputs;
        let of_layer = |layer: &Linear| [Some(layer.columns()), has_outputs.then_some(layer.outputs)];
        let orders: Vec<usize> = layers.iter().flat_map(of_layer).flatten().collect();
        let form = match settings.damping_form {
            DampingForm::Factored => {
                let block = |(position, &order): (usize, &usize)| Block {
                    balanced_with: has_outputs.then_some(position ^ 1),
                    ..Block::new(order, settings.damping)
                };
                let blocks: Vec<Block> = orders.iter().enumerate().map(block).collect();
                let inversion = match settings.warm_start {
                    None => SpdInverse::new(device, &blocks, settings.inversion)?,
                    Some(warm) => SpdInverse::with_warm_start(device, &blocks, settings.inversion, warm)?,
                };
                Form::Factored { inversion, apply: KronApply::new(device, layers)? }
            }
            DampingForm::Exact => {
                let eigen = |&linear: &Linear| EigenLayer { linear, left: has_outputs };
                let eigen: Vec<EigenLayer> = layers.iter().map(eigen).collect();
                let apply = EigenApply::new(device, &eigen, Epilogue::Damped { damping: settings.damping })?;
                let decomposition = Eigh::new(device, &orders, settings.decomposition)?;
                let values = orders.iter().map(|order| Buffer::zeros(device, *order)).collect::<Result<_>>()?;
                Form::Exact { decomposition, values, apply }
            }
        };
        let matrices = orders.iter().map(|order| Buffer::zeros(device, order * stride(*order)));
        Ok(Self { matrices: matrices.collect::<Result<_>>()?, orders, has_outputs, form })
    }

    pub(super) fn set_damping(&mut self, damping: f64) -> Result<()> {
        match &mut self.form {
            Form::Factored { inversion, .. } => inversion.set_damping(&vec![damping; self.orders.len()]),
            Form::Exact { apply, .. } => apply.set_epilogue(Epilogue::Damped { damping }),
        }
    }

    pub(super) fn set_clip(&mut self, clip: Option<KlClip>) -> Result<()> {
        match &mut self.form {
            Form::Factored { apply, .. } => apply.set_clip(clip),
            Form::Exact { apply, .. } => apply.set_clip(clip),
        }
    }

    /// Inverts or decomposes the factors, which are packed.
    pub(super) fn invert(&mut self, factors: &[Buffer<T>]) -> Result<()> {
        let orders = &self.orders;
        let sources = factors.iter().zip(orders).map(|(factor, order)| Symmetric::packed(factor.view(), *order));
        let sources = sources.collect::<Result<Vec<_>>>()?;
        let to = self.matrices.iter_mut().zip(orders);
        let to = to.map(|(to, &order)| MatMut::with_stride(to.view_mut(), order, order, stride(order)));
        let mut to = to.collect::<Result<Vec<_>>>()?;
        match &mut self.form {
            Form::Factored { inversion, .. } => inversion.invert(&sources, &mut to),
            Form::Exact { decomposition, values, .. } => {
                let mut values: Vec<_> = values.iter_mut().map(Buffer::view_mut).collect();
                decomposition.decompose(&sources, &mut to, &mut values)
            }
        }
    }

    pub(super) fn apply(
        &mut self,
        gradients: &[LayerGradient<'_, T>],
        directions: &mut [LayerDirection<'_, T>],
    ) -> Result<()> {
        let matrices = self.matrices.iter().zip(&self.orders);
        let matrices = matrices.map(|(from, &order)| MatRef::with_stride(from.view(), order, order, stride(order)));
        match &mut self.form {
            Form::Factored { apply, .. } => {
                let inverses = by_layer(matrices, self.has_outputs, |left, right| Inverses { left, right })?;
                apply.apply(&inverses, gradients, directions)
            }
            Form::Exact { values, apply, .. } => {
                let bases = matrices.zip(&*values).map(|(vectors, values)| {
                    let values = values.view();
                    vectors.map(|vectors| Eigenbasis { vectors, values })
                });
                let bases = by_layer(bases, self.has_outputs, |left, right| Eigenbases { left, right })?;
                apply.apply(&bases, &mut [], gradients, directions)
            }
        }
    }

    pub(super) fn reports(&self) -> Result<Vec<FactorReport>> {
        Ok(match &self.form {
            Form::Factored { inversion, .. } => inversion.reports()?.into_iter().map(FactorReport::Inverse).collect(),
            Form::Exact { decomposition, .. } => {
                decomposition.reports()?.into_iter().map(FactorReport::Eigenbasis).collect()
            }
        })
    }

    pub(super) fn clip_factor(&self) -> Result<f64> {
        match &self.form {
            Form::Factored { apply, .. } => apply.clip_factor(),
            Form::Exact { apply, .. } => apply.clip_factor(),
        }
    }
}

/// What belongs to each layer, of a list of what belongs to each factor.
fn by_layer<F, L>(
    mut factors: impl Iterator<Item = Result<F>>,
    has_outputs: bool,
    layer: impl Fn(Option<F>, F) -> L,
) -> Result<Vec<L>> {
    let mut layers = Vec::new();
    while let Some(right) = factors.next() {
        let left = if has_outputs { factors.next().transpose()? } else { None };
        layers.push(layer(left, right?));
    }
    Ok(layers)
}
