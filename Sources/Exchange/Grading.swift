import Distillation
import Tokens

/// A trajectory and the teachers that are still to grade it.
///
/// They are asked one after the other: so a trajectory is out under one lease at a time, whoever grades it, and what is
/// lost of one teacher's work is asked of that teacher alone.
struct Grading: Sendable {
    let trajectory: Trajectory
    /// All of its teachers, in the order of the prompt.
    private let teachers: [PromptTeacher]
    /// Those that are to come, as places in `teachers`; the first is asked now.
    private var waiting: [Int]
    private var grades: [String: Grade] = [:]
    /// The response as teachers with other tokenizers read it, by label.
    private var retokenized: [String: RetokenizedResponse]

    /// - Parameters:
    ///   - teachers: at least one.
    ///   - retokenized: the response as those of them read it that have other tokenizers, by label.
    init(
        _ trajectory: Trajectory, by teachers: [PromptTeacher], retokenized: [String: RetokenizedResponse] = [:]
    ) {
        self.trajectory = trajectory
        self.teachers = teachers
        self.retokenized = retokenized
        // Samples begin with different teachers, so that none of them waits for the others.
        let first = Int((trajectory.id.group &+ UInt64(trajectory.id.sample)) % UInt64(max(teachers.count, 1)))
        waiting = teachers.indices.map { (first + $0) % teachers.count }
    }

    /// The teacher that is asked now.
    var teacher: PromptTeacher { teachers[waiting[0]] }

    /// What the teacher that is asked now reads after its prompt.
    var responseIDs: [Int32] { ownResponse?.ids ?? trajectory.responseIDs }

    /// The same where its tokenizer is another than the student's; nil: it is not.
    private var ownResponse: RetokenizedResponse? { retokenized[teacher.label] }

    /// Whether the teacher that is asked now reads other tokens than the student's.
    var isRetokenized: Bool { ownResponse != nil }

    /// Leaves out what has no room in the context of the teacher that is asked now.
    /// - Parameter room: tokens of the response; those of a response in the student's own tokens have it always.
    mutating func fit(in room: Int) { retokenized[teacher.label]?.fit(in: room) }

    /// What the grades of the teacher that is asked now say of the student's tokens.
    func ofStudent(_ grade: Grade) -> Grade {
        guard let ownResponse else { return grade.ofSampled(trajectory.tokens) }
        return Grade(
            retokenized: grade.logprobs, over: ownResponse.spans, behaviour: trajectory.behaviourLogprobs)
    }

    /// What a person is shown of the teacher's numbers that is asked now, beside the student's tokens; nothing where they
    /// are not one for each token that it reads.
    func shown(_ logprobs: [Float]) -> [Float] {
        guard isRetokenized else { return logprobs }
        return logprobs.count == responseIDs.count ? ofStudent(Grade(logprobs: logprobs)).logprobs : []
    }

    /// Tokens of the response as teachers with other tokenizers read it, by label.
    var responseCounts: [String: Int] { retokenized.mapValues(\.ids.count) }

    /// Whether a teacher has graded it already, of those that a member holds.
    func isGraded(by labels: [String]) -> Bool { labels.contains { grades[$0] != nil } }

    /// Takes the grade of the teacher that is asked now.
    /// - Returns: what all say together; nil: others are to come.
    mutating func take(_ grade: Grade) -> Grade? {
        grades[teacher.label] = grade
        waiting.removeFirst()
        guard waiting.isEmpty else { return nil }
        return Grade(mixing: teachers.compactMap { teacher in grades[teacher.label].map { (teacher.share, $0) } })
    }
}
