import CKernels
import Compute
import Testing

@Suite struct ArithmeticTests {
    @Test(arguments: Backend.all) func hashIsThatOfTheBitsWhateverTheThreads(backend: Backend) {
        let hash = backend.context(threads: 1).arithmeticHash()
        #expect(hash.count == 16)
        #expect(backend.context(threads: 2).arithmeticHash() == hash)
    }

    @Test func hashTellsWhetherProductsHaveTheSameBits() {
        var random = Random(31)
        let w = random.tensor(96, 576), x = random.tensor(5, 576, .bf16)
        func bits(_ backend: Backend) -> [UInt8] {
            let context = backend.context(threads: 1)
            let y = Tensor(rows: 5, columns: 96)
            context.linear(x, context.pack(w, as: .bf16), into: y)
            return y.bits
        }
        let hashes = Backend.all.map { $0.context(threads: 1).arithmeticHash() }
        let products = Backend.all.map(bits)
        for i in hashes.indices {
            for j in hashes.indices where products[i] != products[j] {
                #expect(hashes[i] != hashes[j], "\(Backend.all[i]) and \(Backend.all[j])")
            }
        }
        // Every list has a kernel that does not fuse its additions, and one that does, or else this shows nothing.
        if ck_kernels_named("avx2") != nil { #expect(Set(hashes).count > 1) }
    }
}
