import JSON

/// What a line of `samples.jsonl` says of itself, without its texts: enough to choose what is shown.
struct SampleOutline: Sendable {
    /// Where in the file the line is.
    var offset = 0
    var count = 0
    var step = 0.0
    /// Mean of b - t over the response's sampled tokens, in nats; no number where one of them is missing.
    var divergence = Double.nan
    var isEvaluation = false
    /// Whether a verifier passed it; nil: none judged it.
    var passed: Bool?
    /// Hash of the prompt and of the teacher's label.
    var prompt: UInt64 = 0
    var teacher: UInt64 = 0

    /// - Returns: nil for what is no response.
    init?(_ bytes: UnsafeRawBufferPointer, offset: Int) {
        self.offset = offset
        count = bytes.count
        var scanner = ObjectScanner(bytes)
        var student: (count: Int, sum: Double)?, graded: (count: Int, sum: Double)?
        var hasStep = false, hasPrompt = false, sampled: Double?
        while let key = scanner.key() {
            if key.isEqual("step") {
                guard let number = scanner.number() else { break }
                step = number.value
                hasStep = number.isInteger && number.value >= 0
            } else if key.isEqual("kind") {
                isEvaluation = scanner.quoted()?.isEqual("evaluation") ?? false
            } else if key.isEqual("prompt") {
                prompt = scanner.quoted().map(Self.hash) ?? 0
                hasPrompt = true
            } else if key.isEqual("teacher") {
                teacher = scanner.quoted().map(Self.hash) ?? 0
            } else if key.isEqual("student_logprobs") {
                student = scanner.sum()
            } else if key.isEqual("teacher_logprobs") {
                graded = scanner.sum()
            } else if key.isEqual("sampled_tokens") {
                sampled = scanner.number()?.value
            } else if key.isEqual("passed") {
                passed = scanner.bool()
            } else {
                scanner.skip()
            }
        }
        guard scanner.isWhole, hasStep, hasPrompt, let student, let graded else { return nil }
        if student.count == graded.count, student.count > 0 {
            // Of what an environment said both are 0.
            divergence = (student.sum - graded.sum) / (sampled ?? Double(student.count))
        }
    }

    /// FNV-1a, eight bytes at a time: only to tell prompts apart.
    private static func hash(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        var index = 0
        while index + 8 <= bytes.count {
            hash = (hash ^ bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)) &* 0x0000_0100_0000_01b3
            hash ^= hash >> 29
            index += 8
        }
        while index < bytes.count {
            hash = (hash ^ UInt64(bytes[index])) &* 0x0000_0100_0000_01b3
            index += 1
        }
        return hash ^ UInt64(bytes.count)
    }
}
