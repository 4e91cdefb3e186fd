import Distillation
import Testing

/// What several teachers say together.
@Suite struct GradeMixtureTests {
    private func grade(_ logprobs: [Float]) -> Grade { Grade(logprobs: logprobs) }

    @Test func theMixtureIsTheWeightedSumOfLogarithms() {
        let mixed = Grade(mixing: [(0.25, grade([-4, -1, 0])), (0.75, grade([0, -3, -100]))])
        #expect(mixed.logprobs == [-1, -2.5, -75] && mixed.top == nil && mixed.hidden == nil)
    }

    /// One teacher alone says what it says, to the last bit and with all that comes with it.
    @Test func oneTeacherIsItself() {
        let top = TopTokens(count: 1, ids: [3], logprobs: [-0.5], tails: [-0.9])
        let only = Grade(logprobs: [-0.1], top: top)
        #expect(Grade(mixing: [(1, only)]) == only)
        #expect(Grade(mixing: []).logprobs == [])
    }

    /// What each of several lists stays its own; where one has listed nothing, nothing is listed.
    @Test func listsStayApart() {
        let tops = [[3, 7], [1, 7]].map { TopTokens(count: 2, ids: $0, logprobs: [-1, -1], tails: [-1.3]) }
        let parts: [(share: Double, grade: Grade)] = [
            (0.25, Grade(logprobs: [-1], top: tops[0])), (0.75, Grade(logprobs: [-2], top: tops[1])),
        ]
        let mixed = Grade(mixing: parts)
        #expect(mixed.top == nil && mixed.lists.map(\.top) == tops && mixed.lists.map(\.share) == [0.25, 0.75])
        #expect(mixed.areFinite && ClassLists(tops).ids == [1, 3, 7] && ClassLists(tops).counts == [3])
        let silent = Grade(mixing: [parts[0], (0.75, .missing(1))])
        #expect(silent.lists == [] && !silent.areFinite)
        let broken = TopTokens(count: 1, ids: [3], logprobs: [.nan], tails: [-1])
        let spoilt = Grade(mixing: [parts[0], (0.75, Grade(logprobs: [-1], top: broken))])
        #expect(spoilt.logprobs.areFinite && !spoilt.areFinite)
    }

    /// A token without a number has none in the mixture, which the step's guard sees.
    @Test func whatOneDoesNotKnowIsNotKnown() {
        let mixed = Grade(mixing: [(0.5, grade([-1, .nan])), (0.5, grade([-1, -1]))])
        #expect(mixed.logprobs[0] == -1 && mixed.logprobs[1].isNaN && !mixed.areFinite)
    }

    /// The gradient of the sum of reverse KLs, by the advantage of the mixture: c (b - t) is the mean of the teachers'.
    @Test func theAdvantageIsTheMeanOfTheTeachers() {
        let behaviour: Float = -1.5, parts: [(share: Double, grade: Grade)] = [(0.5, grade([-2])), (0.5, grade([-5]))]
        let mixed = Grade(mixing: parts).logprobs[0]
        let mean = parts.reduce(0) { $0 + $1.share * Double(behaviour - $1.grade.logprobs[0]) }
        #expect(Double(behaviour - mixed) == mean)
    }
}
