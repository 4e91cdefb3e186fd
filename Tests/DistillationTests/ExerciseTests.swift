import Distillation
import Testing

@Suite struct ExerciseTests {
    private static let specs = [
        "arithmetic", "arithmetic:digits=4,operations=add+sub", "arithmetic:digits=3,operations=mul,factor_digits=3",
        "arithmetic:digits=2,style=answer", "format", "format:letters=9",
    ]

    /// The value of `37+58=`.
    private static func value(of prompt: String) throws -> Int {
        let sign = try #require(prompt.first { "+-*".contains($0) })
        let parts = prompt.dropLast().split(separator: sign).compactMap { Int($0) }
        try #require(parts.count == 2)
        return sign == "+" ? parts[0] + parts[1] : sign == "-" ? parts[0] - parts[1] : parts[0] * parts[1]
    }

    @Test(arguments: specs) func theWorkedResponseIsRightAndFits(_ text: String) throws {
        let task = try ExerciseGenerator(text)
        for problem in try task.exercises(.training, seed: 3, count: 400) {
            #expect(problem.check.verdict(on: problem.response) == Verdict(reward: 1, passed: true))
            #expect(!problem.check.verdict(on: String(problem.response.dropLast())).passed, "\(problem)")
            #expect(problem.prompt.utf8.count <= task.longest.prompt)
            #expect(problem.response.utf8.count <= task.longest.response)
            if text.hasPrefix("arithmetic") { #expect(try Self.value(of: problem.prompt) == Int(problem.check.answer)) }
        }
    }

    @Test(
        arguments: [
            (.add, 37, 58, "7+8+0=15,3+5+1=09:95"), (.add, 999, 1, "9+1+0=10,9+0+1=10,9+0+1=10:1000"),
            (.add, 0, 0, "0+0+0=00:0"), (.sub, 52, 38, "12-8-0=04,05-3-1=01:14"),
            (.sub, 100, 1, "10-1-0=09,10-0-1=09,01-0-1=00:99"), (.mul, 37, 8, "7*8+0=56,3*8+5=29:296"),
            (.mul, 12, 0, "2*0+0=00,1*0+0=00:0"),
            (
                .mul, 37, 48,
                "7*8+0=56,3*8+5=29:296;7*4+0=28,3*4+2=14:1480;6+0+0=06,9+8+0=17,2+4+1=07,0+1+0=01:1776"
            ),
        ] as [(ArithmeticExercises.Operation, Int, Int, String)])
    func stepsAreWrittenAsDocumented(operation: ArithmeticExercises.Operation, a: Int, b: Int, response: String) {
        #expect(ArithmeticExercises.worked(operation, a, b) == response)
    }

    /// Every step of a worked response is a true equation.
    @Test func everyStepIsTrue() throws {
        let task = try ExerciseGenerator("arithmetic:digits=4,factor_digits=2")
        for problem in try task.exercises(.training, seed: 5, count: 300) {
            let steps = problem.response.split { ",;".contains($0) }.map { $0.split(separator: ":")[0] }
            for step in steps where step.contains("=") {
                let sides = step.split(separator: "=")
                let left = sides[0]
                let value: Int
                if left.contains("*") {
                    let parts = left.split { "*+".contains($0) }.compactMap { Int($0) }
                    value = parts[0] * parts[1] + parts[2]
                } else if left.contains("+") {
                    value = left.split(separator: "+").compactMap { Int($0) }.reduce(0, +)
                } else {
                    let parts = left.split(separator: "-").compactMap { Int($0) }
                    value = parts[0] - parts[1] - parts[2]
                }
                #expect(value == Int(sides[1]), "\(step) in \(problem)")
            }
        }
    }

    @Test(arguments: specs) func splitsNeverMeetWhateverTheSeed(_ text: String) throws {
        let task = try ExerciseGenerator(text)
        let heldout = Set(try task.exercises(.heldout, seed: 1, count: 100).map(\.prompt))
        #expect(heldout.count == 100)
        for seed in [1, 2, 99] as [UInt64] {
            let training = try task.exercises(.training, seed: seed, count: 500).map(\.prompt)
            #expect(Set(training).count == 500)
            #expect(heldout.isDisjoint(with: training))
            #expect(
                (0..<500).allSatisfy {
                    ExerciseSplit(of: task.exercise(.training, seed: seed, index: $0).prompt) == .training
                })
        }
    }

    @Test func oneSeedIsOneOrderAndAnotherSeedAnother() throws {
        let task = try ExerciseGenerator("arithmetic:digits=3")
        let first = try task.exercises(.training, seed: 7, count: 50)
        #expect(try task.exercises(.training, seed: 7, count: 80).prefix(50) == first[...])
        #expect(try task.exercises(.training, seed: 8, count: 50) != first)
        #expect(task.exercise(.training, seed: 7, index: 41) == task.exercise(.training, seed: 7, index: 41))
    }

    @Test func severalFormsAreRightWhereTheRulesLeaveItOpen() throws {
        let task = try ExerciseGenerator("format:letters=3")
        let problem = try #require(
            try task.exercises(.training, seed: 1, count: 2000).first {
                $0.prompt.hasSuffix(" dash=") && $0.prompt.count == 9
            })
        let letters = problem.prompt.prefix(3).map(String.init)
        let wrong = letters.joined(separator: ","), other = letters.reversed().joined(separator: "-").uppercased()
        #expect(problem.check.verdict(on: other).passed)
        #expect(!problem.check.verdict(on: wrong).passed)
    }

    @Test(arguments: [
        ("sums", "unknown task 'sums'; expected one of arithmetic, format"),
        ("arithmetic:digits=12", "task arithmetic: digits takes an integer from 1 to 9, not '12'"),
        ("arithmetic:digits", "task arithmetic: 'digits' is not key=value, such as digits=2"),
        ("arithmetic:digits=1,digits=2", "task arithmetic: 'digits' is given twice"),
        ("arithmetic:operations=div", "task arithmetic: operations takes some of add+sub+mul, not 'div'"),
        ("arithmetic:operations=add+add", "task arithmetic: operations takes some of add+sub+mul, not 'add+add'"),
        ("format:digits=2", "task format has no parameter 'digits'; it has letters"),
    ])
    func aWrongTaskIsOneLine(text: String, message: String) {
        let error = #expect(throws: ExerciseError.self) { try ExerciseGenerator(text) }
        #expect(error?.message == message)
    }

    @Test func aTaskThatIsTooSmallSaysHowManyThereAre() throws {
        let task = try ExerciseGenerator("arithmetic:digits=1,operations=mul")
        let error = #expect(throws: ExerciseError.self) { try task.exercises(.heldout, seed: 1, count: 99) }
        let expected = "task 'arithmetic:digits=1,operations=mul' has no 99 different problems of split 'heldout': "
        #expect(error?.message.hasPrefix(expected) == true)
        #expect(
            ExerciseGenerator.isTask("format") && ExerciseGenerator.isTask("arithmetic:x")
                && !ExerciseGenerator.isTask("my/format.jsonl"))
    }
}
