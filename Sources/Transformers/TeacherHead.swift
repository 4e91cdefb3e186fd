import Compute
import Files
import Models
import Rules

/// The head of a teacher whose last hidden states come from elsewhere: what makes logits of them. Belongs to one actor.
package final class TeacherHead {
    package let identity: HeadIdentity
    package let matrix: PackedMatrix
    package let rule: HeadRule

    /// Reads and packs a model's head.
    /// - Parameter type: that of the teacher's matrices and of its hidden states.
    /// - Throws: `ModelError` naming the tensor that is missing or misshapen.
    package init(_ files: ModelFiles, type: ElementType, context: ComputeContext) throws {
        let tensor = try Self.tensor(files, type, context)
        rule = files.configuration.headRule
        identity = HeadIdentity(tensor, rule)
        matrix = context.pack(tensor, as: type)
    }

    /// What a model's head is, without packing it.
    package static func identity(
        of files: ModelFiles, type: ElementType, context: ComputeContext
    ) throws -> HeadIdentity {
        HeadIdentity(try tensor(files, type, context), files.configuration.headRule)
    }

    private static func tensor(
        _ files: ModelFiles, _ type: ElementType, _ context: ComputeContext
    ) throws -> Tensor {
        let name = files.configuration.headName
        guard let tensor = try FileParameters(files, type: type, context: context).tensor(name) else {
            throw ModelError(.unreadable, "\(files.path): there is no tensor '\(name)', the head")
        }
        return tensor
    }
}

/// What two processes that have the same head agree on.
package struct HeadIdentity: Sendable, Equatable {
    package let vocabularySize: Int
    package let hiddenSize: Int
    package let type: ElementType
    /// Equal for equal heads: as docs/protocol.md defines it.
    package let fingerprint: String

    /// - Parameter head: [V,C].
    init(_ head: Tensor, _ rule: HeadRule) {
        vocabularySize = head.rows
        hiddenSize = head.columns
        type = head.type
        let checksum = crc32(UnsafeRawBufferPointer(start: head.bytes, count: head.byteCount))
        let bits = [rule.logitScale, rule.softCap].map { String($0.bitPattern, radix: 16) }
        fingerprint =
            "\(type.rawValue) \(head.rows) \(head.columns) \(bits[0]) \(bits[1]) \(String(checksum, radix: 16))"
    }
}
