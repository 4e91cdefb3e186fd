import Randomness

/// One question of a task, with an answer worked out and what judges others' answers.
package struct Exercise: Sendable, Equatable {
    package var prompt: String
    /// A right response in full, steps included: what supervised learning imitates.
    package var response: String
    package var check: AnswerCheck
    package var tags: [String]

    package init(prompt: String, response: String, check: AnswerCheck, tags: [String] = []) {
        self.prompt = prompt
        self.response = response
        self.check = check
        self.tags = tags
    }
}

/// A part of a task's exercises. An exercise belongs to one of them, whatever the seed.
package enum ExerciseSplit: String, Sendable, CaseIterable {
    case training = "train"
    /// One exercise in eight, never trained on.
    case heldout

    /// The split of an exercise follows from its prompt alone: so no seed, count or other setting can bring it from one
    /// split into the other.
    package init(of prompt: String) {
        var hash = FNVHash()
        hash.add(prompt)
        // FNV's low bits alone are weak.
        self = CounterRandom(key: hash.value, 0x73_706C_6974).bits(0) % 8 == 0 ? .heldout : .training
    }

    var word: UInt64 { self == .training ? 0x7472_6169_6E : 0x6865_6C64 }
}
