import Configuration
import Distillation
import Exchange
import Locking
import Tokenizers
import Wire
import Wording

/// Which tokenizers the teachers of a run may have beside the student's own, by `teachers.<label>.token_map`.
///
/// A teacher whose tokenizer is on this machine is compared before the run begins. Of another the hello tells the added
/// tokens, and the comparison is made with them in place of the student's: where that gives the fingerprint that the hello
/// has, it is the teacher's tokenizer.
struct TeacherTokenizers: TokenizerPolicy {
    private let student: Tokenizer
    private let fingerprint: String
    private let maps: [String: RunConfiguration.TokenMap]
    /// Whether teachers write what the student reads.
    private let teachersSample: Bool
    /// Tokenizers that were compared before the run, by teacher.
    private var compared: [String: (fingerprint: String, tokenizer: Tokenizer, foreignIDs: Set<Int32>)] = [:]
    /// The texts of the prompts of every teacher.
    private var prompts: [String: [String]] = [:]
    /// What was found of tokenizers that hellos told of, by teacher and fingerprint.
    private let judged = JudgedTokenizers()

    /// How many tokenizers a run compares token by token, beside those on this machine.
    private static let mostJudged = 64

    init(_ configuration: RunConfiguration, _ student: Tokenizer) {
        self.student = student
        fingerprint = student.fingerprint
        maps = configuration.usedTeachers.mapValues(\.tokenMap)
        teachersSample = configuration.kind.sampler == .teachers
    }

    // MARK: Before the run

    /// Compares a teacher's tokenizer with the student's, token by token.
    /// - Parameters:
    ///   - tokenizer: the teacher's; nil: it is not on this machine.
    ///   - fingerprint: the teacher's, where that alone may be known; nil: that of the tokenizer.
    ///   - label: the teacher's.
    ///   - name: where the tokenizer is, for messages.
    ///   - studentName: the student's model, for messages.
    mutating func check(
        _ tokenizer: Tokenizer?, fingerprint theirs: String?, of label: String, named name: String,
        student studentName: String
    ) throws(UsageError) {
        guard let theirs = theirs ?? tokenizer?.fingerprint, theirs != fingerprint else { return }
        let what = "teachers.\(label): \(name) has another tokenizer than the student \(studentName)"
        guard let tokenizer else {
            throw UsageError("\(what); grades are by token id, so both need the same one")
        }
        guard maps[label] != .bytes else {
            compared[label] = (theirs, tokenizer, [])
            return
        }
        let unshared = firstUnshared(with: tokenizer)
        guard maps[label] == .shared else {
            let difference = student.difference(from: tokenizer).map { ": \(described($0))" } ?? ""
            let hint =
                unshared == nil
                ? "; every token that it must know is the same, which teachers.\(label).token_map: shared accepts"
                : "; grades are by token id, so both need the same one, or teachers.\(label).token_map: bytes"
            throw UsageError(what + difference + hint)
        }
        if let unshared {
            throw UsageError("\(what): \(unshared); with token_map shared all of these must be the same")
        }
        compared[label] = (theirs, tokenizer, student.ids(knownOnlyTo: tokenizer))
    }

    /// Compares how the teachers and the student read the prompts.
    mutating func check(reading prompts: [Prompt]) throws(UsageError) {
        for prompt in prompts {
            let sampler = prompt.sampler.map { PromptTeacher(label: $0, share: 1, view: prompt.teacherView) }
            for teacher in prompt.graders + [sampler].compactMap(\.self) where maps[teacher.label] == .shared {
                self.prompts[teacher.label, default: []].append(teacher.view?.text ?? prompt.text)
            }
        }
        for (label, known) in compared.sorted(by: { $0.key < $1.key }) {
            if let difference = try firstDifference(reading: self.prompts[label] ?? [], known.tokenizer) {
                throw UsageError(
                    "teachers.\(label).token_map: the teacher reads \(difference); shared needs the same ids")
            }
        }
    }

    // MARK: When a member joins

    func verdict(on hello: Hello, teacher label: String) -> TokenizerVerdict {
        let known = compared[label]
        // One that tells nothing is vouched for by whoever started it.
        guard let theirs = hello.tokenizerFingerprint, theirs != known?.fingerprint else {
            return .accepted(foreignIDs: known?.foreignIDs ?? [])
        }
        if maps[label] == .bytes, known != nil || theirs != fingerprint {
            return .refused(
                reason:
                    "with token_map bytes the learner cuts responses by the tokenizer that it has of this teacher, which "
                    + "is another; give both the same files")
        }
        if theirs == fingerprint { return .accepted(foreignIDs: []) }
        return judged.verdict(label, theirs, limit: Self.mostJudged) { compare(hello, label) }
    }

    private func compare(_ hello: Hello, _ label: String) -> TokenizerVerdict {
        let isShared = maps[label] == .shared
        guard !hello.addedTokens.isEmpty, let tokenizer = student.replacingAddedTokens(hello.addedTokens),
            tokenizer.fingerprint == hello.tokenizerFingerprint
        else {
            let place = "name its folder on the learner's machine with teachers.\(label).tokenizer"
            return .refused(
                reason: isShared
                    ? "they differ in more than added tokens, and so cannot be compared from here; \(place)"
                    : "they differ in more than added tokens")
        }
        let unshared = firstUnshared(with: tokenizer)
        guard isShared else {
            let difference = student.difference(from: tokenizer).map(described) ?? "their fingerprints differ"
            let hint = unshared == nil ? " (teachers.\(label).token_map: shared accepts that)" : ""
            return .refused(reason: difference + hint)
        }
        if let unshared { return .refused(reason: unshared) }
        do {
            if let difference = try firstDifference(reading: prompts[label] ?? [], tokenizer) {
                return .refused(reason: "the teacher reads \(difference)")
            }
        } catch {
            return .refused(reason: error.message)
        }
        return .accepted(foreignIDs: student.ids(knownOnlyTo: tokenizer))
    }

    // MARK: Parts

    /// The first token that its writer may write and its reader does not know, in words.
    private func firstUnshared(with teacher: Tokenizer) -> String? {
        teachersSample
            ? teacher.firstToken(notIn: student)?.described(here: "the teacher", there: "the student")
            : student.firstToken(notIn: teacher).map(described)
    }

    private func firstDifference(reading prompts: [String], _ teacher: Tokenizer) throws(UsageError) -> String? {
        for (index, text) in prompts.enumerated() {
            do {
                guard let difference = try student.difference(from: teacher, reading: text) else { continue }
                return "prompt \(index + 1) of its prompts otherwise: \(described(difference))"
            } catch {
                throw UsageError("prompt \(index + 1): \(error)")
            }
        }
        return nil
    }

    private func described(_ difference: TokenizerDifference) -> String {
        difference.described(here: "the student", there: "the teacher")
    }
}

/// Verdicts that were found once: comparing a vocabulary takes a second, and a hello is repeated.
private final class JudgedTokenizers: Sendable {
    private struct Key: Hashable {
        var label: String
        var fingerprint: String
    }

    private let verdicts = Locked<[Key: TokenizerVerdict]>([:])

    func verdict(
        _ label: String, _ fingerprint: String, limit: Int, _ find: () -> TokenizerVerdict
    ) -> TokenizerVerdict {
        let key = Key(label: label, fingerprint: fingerprint)
        let (known, count) = verdicts.withLock { ($0[key], $0.count) }
        if let known { return known }
        guard count < limit else {
            return .refused(reason: "\(limit) other tokenizers were refused before it; start the learner again")
        }
        let found = find()
        verdicts.withLock { $0[key] = found }
        return found
    }
}
