/// Following instructions: some letters, and words that say in which form to give them back.
///
///     dbca dash up sort=A-B-C-D
///     qe comma box=[q,e]
///
/// The words are a separator, then perhaps a case (`up`, `low`), an order (`sort`, `back`: from z to a) and brackets
/// (`box`). What is not asked for is free: without an order any order is right. So several responses are right, and only
/// a program can tell.
struct FormatExercises: Sendable, Equatable {
    /// Letters of a prompt: 2 ... letters.
    var letters: Int

    private static let separators: [FormatRule.Separator] = [.comma, .dash, .dot, .plus]

    init(_ parameters: inout ExerciseParameters) throws(ExerciseError) {
        letters = try parameters.integer("letters", default: 4, 2...16)
    }

    func exercise(_ random: inout ExerciseRandom) -> Exercise {
        var alphabet = Array("abcdefghijklmnopqrstuvwxyz").map(String.init)
        let items = (0..<2 + random.below(letters - 1)).map { _ in alphabet.remove(at: random.below(alphabet.count)) }
        let separator = Self.separators[random.below(Self.separators.count)]
        var words = [separator.rawValue]
        var rules: [FormatRule] = [.items(separator, items)]
        var reference = items
        let letterCase = random.below(4), order = random.below(4)
        if letterCase < 2 {
            words.append(letterCase == 0 ? "up" : "low")
            rules.append(letterCase == 0 ? .uppercase : .lowercase)
            if letterCase == 0 { reference = reference.map { $0.uppercased() } }
        }
        if order < 2 {
            words.append(order == 0 ? "sort" : "back")
            rules.append(order == 0 ? .sorted(separator) : .descending(separator))
            reference.sort(by: order == 0 ? { $0 < $1 } : { $0 > $1 })
        }
        var response = reference.joined(separator: String(separator.text))
        if random.below(2) == 0 {
            words.append("box")
            rules.append(.enclosed("[", "]"))
            response = "[\(response)]"
        }
        return Exercise(
            prompt: "\(items.joined()) \(words.joined(separator: " "))=", response: response,
            check: AnswerCheck(known: response, .rules(rules)), tags: ["format"])
    }

    var longest: (prompt: Int, response: Int) { (letters + " comma low sort box=".utf8.count, 2 * letters + 1) }
}
