import Engines
import Exchange
import Foundation
import Wire

/// Weights of an earlier step that a checkpoint has beside its own: those of a teacher that is the student's earlier
/// self, or an average of it that was taken some steps ago.
///
/// The file has the bytes of a weight snapshot as they are sent out; what lies where is the student's manifest.
struct EarlierWeights: Sendable {
    /// The teacher whose weights they are, where they are an average; nil: they are the student's.
    var average: String?
    var version: UInt64

    private func path(in folder: String) -> String {
        "\(folder)/weights-\(average.map { "\($0)-" } ?? "")\(version).bin"
    }

    func write(_ bytes: WeightBytes, to folder: String) throws {
        try bytes.withUnsafeBytes { buffer in
            let data =
                buffer.baseAddress.map {
                    Data(bytesNoCopy: UnsafeMutableRawPointer(mutating: $0), count: buffer.count, deallocator: .none)
                } ?? Data()
            try data.write(to: URL(fileURLWithPath: path(in: folder)))
        }
    }

    /// - Throws: `LearnerError` where the checkpoint has no such weights of this student.
    func read(from folder: String, _ manifest: WeightManifest) throws(LearnerError) -> WeightPlace {
        let path = path(in: folder)
        guard let data = try? Data(contentsOf: URL(fileURLWithPath: path), options: .mappedIfSafe) else {
            let whose = average.map { "of teacher '\($0)' of step \(version), with which it grades now" }
            throw LearnerError(
                .invalidCheckpoint,
                "\(folder): it has no weights "
                    + (whose ?? "of step \(version), with which a teacher of this run grades now")
                    + " (teachers.*.refresh_every); use the value that the checkpoint was made with, or a checkpoint of "
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

extension RunPlan {
    /// What teachers grade with after so many steps that the weights of that moment are not.
    func earlierWeights(at version: UInt64) -> [EarlierWeights] {
        let own = followedVersions(at: version).map { EarlierWeights(version: $0) }
        let averages = averageVersions(at: version).map { EarlierWeights(average: $0.key, version: $0.value) }
        return (own + averages).filter { $0.version != version }
    }
}
