import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.context.support.DefaultProfileValidationSupport;
import ca.uhn.fhir.context.support.IValidationSupport;
import ca.uhn.fhir.validation.FhirValidator;
import ca.uhn.fhir.validation.SingleValidationMessage;
import ca.uhn.fhir.validation.ValidationOptions;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;
import org.hl7.fhir.common.hapi.validation.support.CommonCodeSystemsTerminologyService;
import org.hl7.fhir.common.hapi.validation.support.InMemoryTerminologyServerValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.PrePopulatedValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.SnapshotGeneratingValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.UnknownCodeSystemWarningValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.ValidationSupportChain;
import org.hl7.fhir.common.hapi.validation.validator.FhirInstanceValidator;
import org.hl7.fhir.r4.model.CodeSystem;
import org.hl7.fhir.r4.model.StructureDefinition;
import org.hl7.fhir.r4.model.ValueSet;
import org.hl7.fhir.r5.utils.validation.constants.BestPracticeWarningLevel;

/**
 * HL7's own validation engine over files: one path (and, after a tab, one profile) a line on standard input, one line of JSON a file on standard output:
 * {"file":..,"us":CPU microseconds of the thread,"issues":[["error","Bundle.entry[0]","message id","text"],..]}. Argument: the folder of UK Core's definitions.
 */
public class Oracle {
  public static void main(String[] args) throws Exception {
    Locale.setDefault(Locale.ENGLISH);
    PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    FhirValidator validator = validator(Path.of(args[0]));
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      String[] parts = line.split("\t");
      String text = Files.readString(Path.of(parts[0]));
      ValidationOptions options = new ValidationOptions();
      if (parts.length > 1) {
        options.addProfile(parts[1]);
      }
      List<String> issues = new ArrayList<>();
      long before = ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime();
      try {
        for (SingleValidationMessage message : validator.validateWithResult(text, options).getMessages()) {
          issues.add("[" + quoted(message.getSeverity().getCode()) + "," + quoted(message.getLocationString()) + "," + quoted(message.getMessageId()) + ","
              + quoted(message.getMessage()) + "]");
        }
      } catch (Exception error) { // the engine throws on a few damaged documents: that is a refusal
        issues.add("[\"fatal\",\"\",\"threw\"," + quoted(error.getClass().getName()) + "]");
      }
      long spent = (ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime() - before) / 1000;
      out.println("{\"file\":" + quoted(parts[0]) + ",\"us\":" + spent + ",\"issues\":[" + String.join(",", issues) + "]}");
    }
  }

  private static FhirValidator validator(Path definitions) throws Exception {
    FhirContext context = FhirContext.forR4();
    PrePopulatedValidationSupport ukcore = new PrePopulatedValidationSupport(context);
    for (Path path : files(definitions.resolve("structuredefinitions"))) {
      ukcore.addStructureDefinition(context.newXmlParser().parseResource(StructureDefinition.class, Files.readString(path)));
    }
    for (Path path : files(definitions.resolve("valuesets"))) {
      ukcore.addValueSet(context.newXmlParser().parseResource(ValueSet.class, Files.readString(path)));
    }
    for (Path path : files(definitions.resolve("codesystems"))) {
      ukcore.addCodeSystem(context.newXmlParser().parseResource(CodeSystem.class, Files.readString(path)));
    }
    UnknownCodeSystemWarningValidationSupport unknown = new UnknownCodeSystemWarningValidationSupport(context);
    unknown.setNonExistentCodeSystemSeverity(IValidationSupport.IssueSeverity.WARNING);
    ValidationSupportChain chain = new ValidationSupportChain(
        new DefaultProfileValidationSupport(context), ukcore, new InMemoryTerminologyServerValidationSupport(context),
        new CommonCodeSystemsTerminologyService(context), unknown, new SnapshotGeneratingValidationSupport(context));
    chain.setCodeableConceptValidationSuccessfulIfNotAllCodingsAreValid(true);
    FhirInstanceValidator engine = new FhirInstanceValidator(chain);
    engine.setErrorForUnknownProfiles(true);
    engine.setBestPracticeWarningLevel(BestPracticeWarningLevel.Ignore);
    engine.setAnyExtensionsAllowed(true);
    return context.newValidator().registerValidatorModule(engine);
  }

  private static List<Path> files(Path folder) throws Exception {
    try (Stream<Path> found = Files.list(folder)) {
      return found.filter(path -> path.toString().endsWith(".xml")).sorted().toList();
    }
  }

  private static String quoted(String text) {
    if (text == null) {
      return "null";
    }
    StringBuilder out = new StringBuilder("\"");
    for (char c : text.toCharArray()) {
      if (c == '"' || c == '\\') {
        out.append('\\').append(c);
      } else if (c < 0x20 || c > 0x7e) {
        out.append(String.format("\\u%04x", (int) c));
      } else {
        out.append(c);
      }
    }
    return out.append('"').toString();
  }
}
