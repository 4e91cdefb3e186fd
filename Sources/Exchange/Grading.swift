import Distillation

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

    /// - Parameter teachers: at least one.
    init(_ trajectory: Trajectory, by teachers: [PromptTeacher]) {
        self.trajectory = trajectory
        self.teachers = teachers
        // Samples begin with different teachers, so that none of them waits for the others.
        let first = Int((trajectory.id.group &+ UInt64(trajectory.id.sample)) % UInt64(max(teachers.count, 1)))
        waiting = teachers.indices.map { (first + $0) % teachers.count }
    }

    /// The teacher that is asked now.
    var teacher: PromptTeacher { teachers[waiting[0]] }

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
