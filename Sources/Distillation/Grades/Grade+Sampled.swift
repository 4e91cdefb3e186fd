import Tokens

extension Grade {
    /// What it says of the tokens that were sampled, of one that says something of every token of a response.
    package func ofSampled(_ tokens: TokenSequence) -> Grade {
        guard !tokens.given.isEmpty else { return self }
        return Grade(
            logprobs: tokens.ofPredicted(logprobs),
            top: top.map { top in
                TopTokens(
                    count: top.count, ids: tokens.ofPredicted(top.ids, each: top.count),
                    logprobs: tokens.ofPredicted(top.logprobs, each: top.count), tails: tokens.ofPredicted(top.tails))
            },
            hidden: hidden.map { hidden in
                let numbers: HiddenStates.Numbers =
                    switch hidden.numbers {
                    case .bf16(let values): .bf16(tokens.ofPredicted(values, each: hidden.size))
                    case .f32(let values): .f32(tokens.ofPredicted(values, each: hidden.size))
                    }
                return HiddenStates(size: hidden.size, numbers: numbers)
            })
    }
}
