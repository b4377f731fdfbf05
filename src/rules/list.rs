// The two tables that everything else follows: build.rs writes the kernels of every rule for every pair, the crate its
// exports and its registry, the tests their conformance suite, the benches their lines.

/// Calls `$callback!` with every rule: its module, which is also its name, the stem of its kernels and of
/// `kernels/rules/<module>.cuh`; its settings type; and its other names, each with the settings it stands for.
#[macro_export]
#[doc(hidden)]
macro_rules! for_each_rule {
    ($callback:ident) => {
        $callback! {
            sgd::Sgd {},
            adamw::AdamW { adam: AdamW::adam() },
            lion::Lion {},
            adan::Adan {},
            ademamix::AdEMAMix {},
            adopt::Adopt {},
            inna::Inna { inna_saddles: Inna::saddles() },
            nesterov::Nesterov {},
            sdlm::Sdlm {},
            signum::Signum { signsgd: Signum::signsgd() },
            schedulefree_adamw::ScheduleFreeAdamW {},
            schedulefree_sgd::ScheduleFreeSgd {},
            sophia_g::SophiaG {},
            adagrad::Adagrad {},
            adadelta::Adadelta {},
            rmsprop::RmsProp {},
            adamax::AdaMax {},
            nadam::NAdam {},
            radam::RAdam {},
            amsgrad::AmsGrad { amsgradw: AmsGrad::decoupled(), amsgrad_paper: AmsGrad::paper() },
            padam::Padam {},
            adabelief::AdaBelief {},
            acprop::ACProp {},
            diffgrad::DiffGrad {},
            aida::Aida {},
            theopoula::TheoPoula {},
            superadam::SuperAdam { superadam_storm: SuperAdam::storm() },
            losing_momentum::LosingMomentum {},
        }
    };
}

/// Calls `$callback!` with every supported (parameter, gradient) pair of storage types.
#[macro_export]
#[doc(hidden)]
macro_rules! for_each_pair {
    ($callback:ident) => {
        $callback! {
            (f32, f32),
            (f32, bf16),
            (f32, f16),
            (bf16, bf16),
            (bf16, f32),
            (f16, f16),
            (f64, f64),
        }
    };
}
