import Randomness
import Wording

/// A prompt as the pipeline handles it: already rendered and tokenised.
package struct Prompt: Sendable, Equatable {
    package var ids: [Int32]
    /// What its teacher reads in its place, whether it grades or samples; nil: the same.
    package var teacherView: PromptView?
    /// Name of the teacher that grades its responses; nil: none does.
    package var teacher: String?
    /// The share of that teacher where others grade too.
    package var share = 1.0
    /// Further teachers that grade its responses.
    package var others: [PromptTeacher] = []
    /// Label of the teacher that samples its responses; nil: the student does.
    package var sampler: String?
    /// What a person reads in `samples.jsonl`.
    package var text: String
    /// What judges its responses.
    package var check: AnswerCheck?
    /// A response whose cross-entropy an evaluation measures, stop token included; nil: none.
    package var responseIDs: [Int32]?
    /// A response that is imitated beside what is sampled from it in training, stop token included; nil: none.
    package var givenIDs: [Int32]?
    /// Tokens that the contexts of its models leave for a response, at least 1.
    package var room: Int
    /// What is asked, for a person: the last message; nil: it is the whole text.
    package var question: String?
    /// What a person sorts `samples.jsonl` by.
    package var tags: [String]
    /// What an environment begins its episodes with, a JSON object; nil: there is none.
    package var episode: String?

    package init(
        ids: [Int32], teacher: String?, sampler: String? = nil, text: String = "", check: AnswerCheck? = nil,
        responseIDs: [Int32]? = nil, room: Int = .max, question: String? = nil, tags: [String] = []
    ) {
        self.ids = ids
        self.teacher = teacher
        self.sampler = sampler
        self.text = text
        self.check = check
        self.responseIDs = responseIDs
        self.room = room
        self.question = question
        self.tags = tags
    }

    /// The ids after which the teacher reads a response.
    package var idsForTeacher: [Int32] { teacherView?.ids ?? ids }

    /// The ids after which one of its teachers reads a response.
    package func ids(for teacher: String) -> [Int32] {
        graders.first { $0.label == teacher }.map { $0.view?.ids ?? ids } ?? idsForTeacher
    }

    /// All teachers that grade its responses.
    package var graders: [PromptTeacher] {
        teacher.map { [PromptTeacher(label: $0, share: share, view: teacherView)] + others } ?? []
    }
}

/// A prompt as one of its readers is shown it: rendered and tokenised.
package struct PromptView: Sendable, Equatable {
    package var ids: [Int32]
    package var text: String

    package init(ids: [Int32], text: String) {
        self.ids = ids
        self.text = text
    }
}

/// The endless order in which a run draws its prompts: every pass holds each prompt once, shuffled anew.
///
/// Group g of the run is prompt `prompts[index(of: g)]`; the order depends on nothing but the seed and the number of
/// prompts, so a cursor (the first group not trained yet) is all there is to save.
package struct PromptOrder: Sendable {
    package let count: Int
    package let seed: UInt64
    /// Whether every pass is shuffled; else each has the order of the file.
    package let shuffled: Bool
    private var passes: [UInt64: [Int32]] = [:]

    /// - Parameters:
    ///   - count: number of prompts, at least 1.
    ///   - seed: the run's seed.
    package init(count: Int, seed: UInt64, shuffled: Bool = true) {
        precondition(count > 0, "a prompt order needs at least one prompt")
        self.count = count
        self.seed = seed
        self.shuffled = shuffled
    }

    /// Index of the prompt of a group, 0 ..< count.
    package mutating func index(of group: UInt64) -> Int {
        let (pass, position) = group.quotientAndRemainder(dividingBy: UInt64(count))
        return shuffled ? Int(permutation(of: pass)[Int(position)]) : Int(position)
    }

    /// Fisher and Yates's shuffle, kept for the few passes that are drawn from at once.
    private mutating func permutation(of pass: UInt64) -> [Int32] {
        if let known = passes[pass] { return known }
        if passes.count >= 8, let oldest = passes.keys.min() { passes[oldest] = nil }
        let random = CounterRandom(key: seed, 0x7072_6F6D_7074, pass)
        var order = (0..<Int32(count)).map { $0 }
        for last in stride(from: count - 1, to: 0, by: -1) {
            order.swapAt(last, Int(random.integer(below: UInt64(last + 1), UInt64(last))))
        }
        passes[pass] = order
        return order
    }
}

/// Seeds of a run's tasks, each a function of the run's seed alone.
package enum TaskSeed {
    /// Seed of the training rollouts of a group; a sampler mixes in sample and position.
    package static func training(run seed: UInt64, group: UInt64) -> UInt64 {
        CounterRandom(key: seed, 0x7472_6169_6E).bits(group)
    }

    /// Seed of a held-out prompt's rollout, the same at every evaluation of the run.
    package static func evaluation(run seed: UInt64, prompt: Int) -> UInt64 {
        CounterRandom(key: seed, 0x6576_616C).bits(UInt64(prompt))
    }
}

extension Prompt {
    /// Identifies a list of prompts: FNV-1a over ids and teachers, in 16 hexadecimal digits.
    package static func digest(_ prompts: [Prompt]) -> String {
        var hash = FNVHash()
        for prompt in prompts {
            hash.add(UInt32(prompt.ids.count))
            for id in prompt.ids { hash.add(UInt32(bitPattern: id)) }
            hash.add(prompt.teacher ?? "")
            hash.add(prompt.sampler ?? "")
            for id in prompt.teacherView?.ids ?? [] { hash.add(UInt32(bitPattern: id)) }
            if let given = prompt.givenIDs {
                hash.add("given \(given.count)")
                for id in given { hash.add(UInt32(bitPattern: id)) }
            }
            guard !prompt.others.isEmpty else { continue }
            hash.add("\(prompt.share)")
            for other in prompt.others {
                hash.add("\(other.label) \(other.share)")
                for id in other.view?.ids ?? [] { hash.add(UInt32(bitPattern: id)) }
            }
        }
        return hash.value.padded(to: 16, radix: 16)
    }
}
