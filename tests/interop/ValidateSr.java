import com.pixelmed.validate.DicomSRValidator;

/** Validates many Structured Reports in one JVM: the rules take six seconds to load, a report takes one. */
public class ValidateSr {
    public static void main(String[] paths) throws Exception {
        DicomSRValidator validator = new DicomSRValidator();
        for (String path : paths) {
            System.out.println("== " + path);
            System.out.println(validator.validate(path));
        }
    }
}
