import RunFiles
import Wording

/// Which copy of a place is the newest of its run: an object `latest` there has its name.
///
/// Steps alone do not tell: a run that went back to an earlier checkpoint has left copies of later steps behind.
package enum LatestCopy {
    static let object = "latest"

    /// Says that copies of steps up to this one are gone on from first. It may be one that is made now: before it is whole
    /// those of earlier steps count.
    static func write(step: Int, to place: some CopyPlace) throws(PlaceError) {
        try place.write(Array("\(Checkpoint.name(step: step))\n".utf8), to: object)
    }

    /// The step that was copied last; nil: nobody has said so.
    static func read(from place: some CopyPlace) throws(PlaceError) -> Int? {
        guard let bytes = try place.read(object, limit: 1 << 10) else { return nil }
        guard let step = Checkpoint.step(ofName: String(String(decoding: bytes, as: UTF8.self).trimmed)) else {
            throw PlaceError(
                place.name,
                "its object 'latest' names no checkpoint; remove it, and the copy of the latest step is the newest")
        }
        return step
    }
}
