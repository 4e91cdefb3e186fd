import Engines
import Foundation
import Wire

/// Weights of an earlier step that a checkpoint has beside its own: those of a teacher that is the student's earlier
/// self.
///
/// The file has the bytes of a weight snapshot as they are sent out; what lies where is the student's manifest.
enum EarlierWeights {
    private static func path(_ version: UInt64, in folder: String) -> String { "\(folder)/weights-\(version).bin" }

    static func write(_ bytes: WeightBytes, version: UInt64, to folder: String) throws {
        try bytes.withUnsafeBytes { buffer in
            let data =
                buffer.baseAddress.map {
                    Data(bytesNoCopy: UnsafeMutableRawPointer(mutating: $0), count: buffer.count, deallocator: .none)
                } ?? Data()
            try data.write(to: URL(fileURLWithPath: path(version, in: folder)))
        }
    }

    /// - Throws: `LearnerError` where the checkpoint has no such weights of this student.
    static func read(
        version: UInt64, from folder: String, _ manifest: WeightManifest
    ) throws(LearnerError) -> WeightPlace {
        let path = path(version, in: folder)
        guard let data = try? Data(contentsOf: URL(fileURLWithPath: path), options: .mappedIfSafe) else {
            throw LearnerError(
                .invalidCheckpoint,
                "\(folder): it has no weights of step \(version), with which a teacher of this run grades now "
                    + "(teachers.*.refresh_every); use the value that the checkpoint was made with, or a checkpoint of "
                    + "a step at which the teacher is refreshed")
        }
        guard data.count == manifest.byteCount else {
            throw LearnerError(
                .invalidCheckpoint,
                "\(path): it has \(data.count) bytes, and this student's weights \(manifest.byteCount); use another "
                    + "checkpoint")
        }
        let place = WeightPlace(manifest, version: version)
        place.memory.withBytes { target in data.withUnsafeBytes { target.copyMemory(from: $0) } }
        return place
    }
}
