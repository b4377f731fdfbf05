// What a rule takes of a step for one element: the gradient, or a record of it and another number.
// twin: src/rules/gradient.rs
#pragma once
#include <cstdint>

enum class Extra : uint32_t { NONE, SECOND, NOISE };

// A gradient and a second one, which is 0 in a step that is given none.
template <class T> struct WithSecond {
    T gradient, second;
    bool given;
};

// A gradient and a standard normal number.
template <class T> struct WithNoise {
    T gradient, noise;
};

template <class T> struct GradientTraits {
    static constexpr Extra EXTRA = Extra::NONE;
    static __device__ T make(T gradient, T, bool) { return gradient; }
};
template <class T> struct GradientTraits<WithSecond<T>> {
    static constexpr Extra EXTRA = Extra::SECOND;
    static __device__ WithSecond<T> make(T gradient, T second, bool given) { return {gradient, second, given}; }
};
template <class T> struct GradientTraits<WithNoise<T>> {
    static constexpr Extra EXTRA = Extra::NOISE;
    static __device__ WithNoise<T> make(T gradient, T noise, bool) { return {gradient, noise}; }
};

// The rule's Gradient<T>, which is T for a rule that names none.
template <class Rule, class T> struct GradientIn { using type = T; };
template <class Rule, class T> requires requires { typename Rule::template Gradient<T>; }
struct GradientIn<Rule, T> { using type = typename Rule::template Gradient<T>; };
template <class Rule, class T> using GradientOf = typename GradientIn<Rule, T>::type;

template <class Rule> constexpr Extra EXTRA = GradientTraits<GradientOf<Rule, double>>::EXTRA;

// Whether some settings of the rule make no use of its state.
template <class Rule> constexpr bool may_be_stateless() {
    if constexpr (requires { Rule::MAY_BE_STATELESS; }) {
        return Rule::MAY_BE_STATELESS;
    } else {
        return false;
    }
}

// Whether a step of these scalars makes use of the noise that the rule takes.
template <class Rule, class Scalars> __device__ bool takes_noise(const Scalars& scalars) {
    if constexpr (requires { Rule::takes_noise(scalars); }) {
        return Rule::takes_noise(scalars);
    } else {
        return true;
    }
}

// Whether the rule's arithmetic alone fills the time and the registers: then a thread has one run in flight and not two, of one
// element in f64.
template <class Rule> constexpr bool is_heavy() {
    if constexpr (requires { Rule::IS_HEAVY; }) {
        return Rule::IS_HEAVY;
    } else {
        return false;
    }
}
template <class Rule> constexpr bool IS_HEAVY = is_heavy<Rule>();

// The position of the momentum in the rule's State; -1 where there is none.
template <class Rule> constexpr int momentum_of() {
    if constexpr (requires { Rule::MOMENTUM; }) {
        return Rule::MOMENTUM;
    } else {
        return -1;
    }
}
