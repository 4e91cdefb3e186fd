import Distillation
import JSON
import Tokens

/// One response as `samples.jsonl` keeps it, for people to read.
package struct SampleRecord: Sendable, Equatable {
    /// The step that trained on it, or after which it was evaluated.
    package var step: Int
    /// The prompt as the model saw it.
    package var prompt: String
    package var response: String
    package var scored: ScoredTrajectory
    /// Bytes of `response`, in UTF-8, that are there after each token, of which a character may need several; nil where
    /// that is not known.
    package var ends: [Int]?
    /// What the prompt's line calls itself.
    package var tags: [String]
    /// What the teacher would rather have written; nil where it was not asked for, or several have graded it.
    package var alternatives: TokenAlternatives?

    package init(
        step: Int, prompt: String, response: String, scored: ScoredTrajectory, ends: [Int]? = nil, tags: [String] = [],
        alternatives: TokenAlternatives? = nil
    ) {
        self.step = step
        self.prompt = prompt
        self.response = response
        self.scored = scored
        self.ends = ends
        self.tags = tags
        self.alternatives = alternatives
    }

    /// The record as one line of JSON: texts, ids, and the log-probabilities of student and teacher, one a token: 0 for
    /// those of an environment, which `environment` names.
    package var jsonLine: String { JSONText.object(fields) }

    var fields: [(name: String, json: String)] {
        let trajectory = scored.trajectory, isTeachers = scored.sampler != nil
        let judged = scored.verdict.map { verdict in
            [("reward", JSONText.number(verdict.reward)), ("passed", verdict.passed ? "true" : "false")]
        }
        var extra: [(name: String, json: String)] = []
        if let ends { extra.append(("ends", JSONText.array(ends.map(UInt64.init)))) }
        let tokens = trajectory.tokens, given = tokens.given
        if !given.isEmpty {
            let spans = given.map { "[\($0.lowerBound), \($0.count)]" }.joined(separator: ", ")
            extra += [("environment", "[" + spans + "]"), ("sampled_tokens", String(tokens.predictedCount))]
        }
        extra += alternatives?.fields ?? []
        for (name, values) in measures where values.count == tokens.predictedCount {
            extra.append((name, JSONText.array(tokens.spread(values.map(Self.shortened), filler: 0))))
        }
        if !tags.isEmpty { extra.append(("tags", "[" + tags.map(JSONText.string).joined(separator: ", ") + "]")) }
        return [
            ("step", String(step)), ("id", JSONText.string(trajectory.id.description)),
            ("kind", JSONText.string(trajectory.kind.rawValue)),
            ("teacher", JSONText.string(scored.readings.map(\.label).joined(separator: "+"))),
            ("prompt", JSONText.string(prompt)), ("response", JSONText.string(response)),
            ("finish_reason", JSONText.string(trajectory.finishReason.rawValue)),
            ("ids", JSONText.array(trajectory.responseIDs)),
            (
                "student_logprobs",
                JSONText.array(isTeachers ? [] : tokens.spread(trajectory.behaviourLogprobs, filler: 0))
            ),
            (
                "teacher_logprobs",
                JSONText.array(isTeachers ? trajectory.behaviourLogprobs : scored.gradedAll(by: tokens))
            ),
            (
                "versions",
                JSONText.array(
                    tokens.spread(Array(trajectory.policyVersions), filler: trajectory.policyVersions.last ?? 0))
            ),
        ] + extra + (judged ?? [])
    }
}

extension SampleRecord {
    /// What the step measured, by the names in the file.
    private var measures: [(name: String, values: [Float])] {
        guard let measures = scored.measures else { return [] }
        return [
            ("entropies", measures.entropies), ("ratios", measures.ratios), ("advantages", measures.advantages),
        ].filter { !$0.values.isEmpty }
    }

    /// Four decimals are what people look at, and half of the space of all of them.
    private static func shortened(_ value: Float) -> Float { (value * 10_000).rounded() / 10_000 }
}

extension ScoredTrajectory {
    /// Grades, one a token of the response; of what was refused there may be one of every token already.
    fileprivate func gradedAll(by tokens: TokenSequence) -> [Float] {
        teacherLogprobs.isEmpty || teacherLogprobs.count == tokens.responseIDs.count
            ? teacherLogprobs : tokens.spread(teacherLogprobs, filler: 0)
    }
}
