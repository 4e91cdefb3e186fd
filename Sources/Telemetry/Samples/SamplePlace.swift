import JSON
import Randomness

/// What a line of `samples.jsonl` says of itself that decides whether it is worth its space.
struct SamplePlace: Sendable {
    /// Bytes of the line, with its line feed.
    var count: Int
    var step: UInt64 = 0
    var isEvaluation = false
    /// Mean of b - t over the response's tokens, in nats; lowest of all where one of them is missing.
    var divergence = -Double.infinity
    /// Tells its tags and its teacher apart from those of others.
    var group: UInt64 = 0
    /// Tells its prompt apart from others.
    var prompt: UInt64 = 0
    /// A number drawn for it, from its step and its id alone: another process draws the same.
    var chance: UInt64 = 0

    /// - Parameter line: without its line feed; of what is no sample only the size is known.
    init(_ line: UnsafeRawBufferPointer) {
        count = line.count + 1
        var scanner = ObjectScanner(line)
        var student: (count: Int, sum: Double)?, teacher: (count: Int, sum: Double)?
        var id: UInt64 = 0
        while let key = scanner.key() {
            if key.isEqual("step") {
                step = scanner.number().flatMap { UInt64(exactly: $0.value) } ?? 0
            } else if key.isEqual("id") {
                id = Self.hash(scanner.quoted())
            } else if key.isEqual("kind") {
                isEvaluation = scanner.quoted()?.isEqual("evaluation") ?? false
            } else if key.isEqual("prompt") {
                prompt = Self.hash(scanner.quoted())
            } else if key.isEqual("teacher") {
                group ^= Self.hash(scanner.quoted())
            } else if key.isEqual("tags") {
                group ^= Self.hash(scanner.raw()) &* 3
            } else if key.isEqual("student_logprobs") {
                student = scanner.sum()
            } else if key.isEqual("teacher_logprobs") {
                teacher = scanner.sum()
            } else {
                scanner.skip()
            }
        }
        chance = CounterRandom(key: Self.purpose, step).bits(id)
        guard let student, let teacher, student.count == teacher.count, student.count > 0 else { return }
        let mean = (student.sum - teacher.sum) / Double(student.count)
        if mean.isFinite { divergence = mean }
    }

    /// Keeps these numbers apart from those that are drawn for other purposes.
    private static let purpose: UInt64 = 0x7361_6D70_6C65_7300

    private static func hash(_ bytes: UnsafeRawBufferPointer?) -> UInt64 {
        var hash = FNVHash()
        for byte in bytes ?? UnsafeRawBufferPointer(start: nil, count: 0) { hash.add(byte) }
        return hash.value
    }
}

/// Which lines of a full `samples.jsonl` stay.
///
/// In this order, as far as each one's share of the space reaches: the newest step; of the evaluations the same prompts
/// through the whole run; of each tag and teacher in turn the responses that diverge most; a random draw of the others.
/// What is left of a share goes to the draw.
struct SampleSelection {
    private let places: [SamplePlace]
    private var isKept: [Bool]

    /// - Parameter budget: most bytes of what stays.
    init(_ places: [SamplePlace], budget: Int) {
        self.places = places
        isKept = Array(repeating: false, count: places.count)
        let newest = places.last?.step ?? 0
        let all = Array(places.indices)
        var left = budget
        left -= keep(all.filter { places[$0].step == newest }, within: budget / 8)
        left -= keep(evaluations, within: budget / 4)
        left -= keep(diverging, within: budget / 2)
        _ = keep(all.sorted { (places[$0].chance, $0) < (places[$1].chance, $1) }, within: left)
    }

    /// The places of the lines that stay, ascending.
    var kept: [Int] { places.indices.filter { isKept[$0] } }

    /// - Returns: bytes that it has kept now.
    private mutating func keep(_ indices: [Int], within budget: Int) -> Int {
        var taken = 0
        for index in indices where !isKept[index] {
            guard taken + places[index].count <= budget else { break }
            isKept[index] = true
            taken += places[index].count
        }
        return taken
    }

    /// Evaluations, prompt after prompt and of each prompt step after step, both in an order that is drawn once and for
    /// all: of the last prompt that has room a draw from the whole run stays.
    private var evaluations: [Int] {
        func key(_ index: Int) -> (UInt64, UInt64, Int) {
            let place = places[index]
            return (CounterRandom(key: 1).bits(place.prompt), CounterRandom(key: 2).bits(place.step), index)
        }
        return places.indices.filter { places[$0].isEvaluation }.sorted { key($0) < key($1) }
    }

    /// The others, by divergence, from each tag and teacher in turn.
    private var diverging: [Int] {
        let groups = Dictionary(grouping: places.indices.filter { !places[$0].isEvaluation }) { places[$0].group }
        let sorted = groups.sorted { $0.key < $1.key }.map { group in
            group.value.sorted { (places[$1].divergence, $0) < (places[$0].divergence, $1) }
        }
        let most = sorted.map(\.count).max() ?? 0
        return (0..<most).flatMap { rank in sorted.compactMap { rank < $0.count ? $0[rank] : nil } }
    }
}
