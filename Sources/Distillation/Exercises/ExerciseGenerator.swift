import Randomness
import Wording

/// A generated task by name, with its parameters: `arithmetic`, `arithmetic:digits=3,operations=add+sub`.
package struct ExerciseGenerator: Sendable, Equatable, CustomStringConvertible {
    /// The tasks there are, with their parameters.
    enum Kind: Sendable, Equatable {
        case arithmetic(ArithmeticExercises)
        case format(FormatExercises)
    }

    let kind: Kind
    /// The name and the parameters, as they were given.
    package let description: String

    package static let names = ["arithmetic", "format"]

    /// Whether a text means a task and not a file: a task's name, alone or before a colon.
    package static func isTask(_ text: String) -> Bool {
        names.contains(text.split(separator: ":", maxSplits: 1).first.map(String.init) ?? "")
    }

    /// Reads `name` or `name:key=value,key=value`.
    /// - Throws: ``ExerciseError`` that says what was expected.
    package init(_ text: String) throws(ExerciseError) {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        var parameters = ExerciseParameters(task: parts[0])
        if parts.count > 1 { try parameters.read(parts[1]) }
        switch parts[0] {
        case "arithmetic": kind = .arithmetic(try ArithmeticExercises(&parameters))
        case "format": kind = .format(try FormatExercises(&parameters))
        default:
            let known = Self.names.joined(separator: ", ")
            throw ExerciseError("unknown task '\(parts[0].prefix(80))'; expected one of \(known)")
        }
        try parameters.finish()
        description = text
    }

    /// The exercise at one place of the endless order of a split: a pure function of the task, the seed and the place.
    /// Exercises come again now and then, as they do where there are few.
    package func exercise(_ split: ExerciseSplit, seed: UInt64, index: UInt64) -> Exercise {
        // One in eight is held out, so that the chance of no fit in so many draws is nothing; a task that has no
        // exercise of a split at all has been refused by `exercises`.
        var exercise = draw(ExerciseRandom(seed, split.word, index, 0))
        var attempt: UInt64 = 1
        while attempt < 1000, ExerciseSplit(of: exercise.prompt) != split {
            exercise = draw(ExerciseRandom(seed, split.word, index, attempt))
            attempt += 1
        }
        return exercise
    }

    /// The first `count` different exercises of a split's order.
    /// - Throws: ``ExerciseError`` when the task has not so many.
    package func exercises(_ split: ExerciseSplit, seed: UInt64, count: Int) throws(ExerciseError) -> [Exercise] {
        var found: [Exercise] = []
        var seen: Set<String> = []
        let attempts = UInt64(count) * 4 + 20_000
        for index in 0..<attempts where found.count < count {
            let exercise = self.exercise(split, seed: seed, index: index)
            guard ExerciseSplit(of: exercise.prompt) == split, seen.insert(exercise.prompt).inserted else { continue }
            found.append(exercise)
        }
        guard found.count == count else {
            throw ExerciseError(
                "task '\(description)' has no \(count) different problems of split '\(split.rawValue)': "
                    + "\(found.count) were found; ask for fewer, or make the task larger")
        }
        return found
    }

    /// Bytes of the longest prompt and of the longest response there can be.
    package var longest: (prompt: Int, response: Int) {
        switch kind {
        case .arithmetic(let task): task.longest
        case .format(let task): task.longest
        }
    }

    private func draw(_ random: consuming ExerciseRandom) -> Exercise {
        switch kind {
        case .arithmetic(let task): task.exercise(&random)
        case .format(let task): task.exercise(&random)
        }
    }
}

/// A task that cannot be: one line for a person.
package struct ExerciseError: MessageError, Equatable {
    package var message: String
    init(_ message: String) { self.message = message }
}

/// Draws of one exercise, one after the other.
struct ExerciseRandom {
    private let random: CounterRandom
    private var count: UInt64 = 0

    init(_ seed: UInt64, _ split: UInt64, _ index: UInt64, _ attempt: UInt64) {
        random = CounterRandom(key: seed, 0x7461_736B, split, index, attempt)
    }

    /// A uniform integer in 0 ..< bound.
    mutating func below(_ bound: Int) -> Int {
        defer { count += 1 }
        return Int(random.integer(below: UInt64(bound), count))
    }
}

/// `key=value,key=value`, each taken once.
struct ExerciseParameters {
    let task: String
    private var values: [(key: String, value: String)] = []
    private var known: [String] = []

    init(task: String) { self.task = task }

    mutating func read(_ text: String) throws(ExerciseError) {
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let pair = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard pair.count == 2, !pair[0].isEmpty, !pair[1].isEmpty else {
                throw ExerciseError("task \(task): '\(part.prefix(80))' is not key=value, such as digits=2")
            }
            guard !values.contains(where: { $0.key == pair[0] }) else {
                throw ExerciseError("task \(task): '\(pair[0].prefix(80))' is given twice")
            }
            values.append((pair[0], pair[1]))
        }
    }

    private mutating func take(_ key: String) -> String? {
        known.append(key)
        guard let index = values.firstIndex(where: { $0.key == key }) else { return nil }
        return values.remove(at: index).value
    }

    mutating func integer(_ key: String, default standard: Int, _ range: ClosedRange<Int>) throws(ExerciseError) -> Int
    {
        guard let text = take(key) else { return standard }
        guard let value = Int(text), range.contains(value) else {
            throw ExerciseError(
                "task \(task): \(key) takes an integer from \(range.lowerBound) to \(range.upperBound), "
                    + "not '\(text.prefix(80))'")
        }
        return value
    }

    /// Some of the names, joined by `+`.
    mutating func names<Name: RawRepresentable<String> & CaseIterable & Equatable>(
        _ key: String, default standard: [Name]
    ) throws(ExerciseError) -> [Name] {
        guard let text = take(key) else { return standard }
        var result: [Name] = []
        for word in text.split(separator: "+", omittingEmptySubsequences: false) {
            guard let name = Name(rawValue: String(word)), !result.contains(name) else {
                let all = Name.allCases.map(\.rawValue).joined(separator: "+")
                throw ExerciseError("task \(task): \(key) takes some of \(all), not '\(text.prefix(80))'")
            }
            result.append(name)
        }
        return result
    }

    /// Refuses what nobody took.
    func finish() throws(ExerciseError) {
        guard let (key, _) = values.first else { return }
        throw ExerciseError(
            "task \(task) has no parameter '\(key.prefix(80))'; it has \(known.joined(separator: ", "))")
    }
}
