package peers;

import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.context.support.DefaultProfileValidationSupport;
import ca.uhn.fhir.context.support.IValidationSupport.IssueSeverity;
import ca.uhn.fhir.validation.FhirValidator;
import ca.uhn.fhir.validation.SingleValidationMessage;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import org.hl7.fhir.common.hapi.validation.support.CommonCodeSystemsTerminologyService;
import org.hl7.fhir.common.hapi.validation.support.InMemoryTerminologyServerValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.PrePopulatedValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.SnapshotGeneratingValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.UnknownCodeSystemWarningValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.ValidationSupportChain;
import org.hl7.fhir.common.hapi.validation.validator.FhirDefaultPolicyAdvisor;
import org.hl7.fhir.common.hapi.validation.validator.FhirInstanceValidator;
import org.hl7.fhir.r4.model.CodeSystem;
import org.hl7.fhir.r5.elementmodel.Element;
import org.hl7.fhir.r5.model.CanonicalResource;
import org.hl7.fhir.r5.model.CanonicalType;
import org.hl7.fhir.r5.utils.validation.IResourceValidator;
import org.hl7.fhir.r5.utils.validation.IValidatorResourceFetcher;
import org.hl7.fhir.r5.utils.validation.constants.BestPracticeWarningLevel;
import org.hl7.fhir.r5.utils.validation.constants.ReferenceValidationPolicy;

import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.stream.Stream;

/**
 * HL7's R4 validator over files, without a network. Arguments: a folder of CodeSystem files that win over the ones
 * of R4, then the files to judge. Prints one JSON array of {file, severity, location, message}.
 */
public final class Validate {
  private Validate() {}

  public static void main(String[] argv) throws Exception {
    PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
    // The libraries write of their progress to standard output, which is kept for the answer.
    System.setOut(System.err);
    FhirContext context = FhirContext.forR4();
    FhirValidator validator = context.newValidator();
    validator.registerValidatorModule(module(context, codeSystems(context, Path.of(argv[0]))));

    ObjectMapper mapper = new ObjectMapper();
    ArrayNode issues = mapper.createArrayNode();
    for (String file : List.of(argv).subList(1, argv.length)) {
      String text = Files.readString(Path.of(file), StandardCharsets.UTF_8);
      for (SingleValidationMessage message : validator.validateWithResult(text).getMessages()) {
        ObjectNode issue = issues.addObject();
        issue.put("file", file);
        issue.put("severity", message.getSeverity().getCode());
        issue.put("location", message.getLocationString());
        issue.put("message", message.getMessage());
      }
    }
    out.println(mapper.writeValueAsString(issues));
    out.flush();
  }

  private static FhirInstanceValidator module(FhirContext context, PrePopulatedValidationSupport codeSystems) {
    UnknownCodeSystemWarningValidationSupport unknown = new UnknownCodeSystemWarningValidationSupport(context);
    unknown.setNonExistentCodeSystemSeverity(IssueSeverity.WARNING);
    FhirInstanceValidator module = new FhirInstanceValidator(new ValidationSupportChain(
        codeSystems,
        new DefaultProfileValidationSupport(context),
        new CommonCodeSystemsTerminologyService(context),
        new InMemoryTerminologyServerValidationSupport(context),
        new SnapshotGeneratingValidationSupport(context),
        unknown));
    module.setAnyExtensionsAllowed(true);
    module.setErrorForUnknownProfiles(true);
    module.setNoTerminologyChecks(false);
    module.setAssumeValidRestReferences(true);
    module.setBestPracticeWarningLevel(BestPracticeWarningLevel.Ignore);
    module.setValidatorResourceFetcher(new NothingElsewhere());
    // A reference to a type that is not allowed is an error though its target is not at hand.
    module.setValidatorPolicyAdvisor(new FhirDefaultPolicyAdvisor() {
      @Override
      public ReferenceValidationPolicy policyForReference(IResourceValidator v, Object c, String path, String url,
          ReferenceDestinationType type) {
        return ReferenceValidationPolicy.CHECK_TYPE_IF_EXISTS;
      }
    });
    return module;
  }

  private static PrePopulatedValidationSupport codeSystems(FhirContext context, Path folder) throws Exception {
    PrePopulatedValidationSupport support = new PrePopulatedValidationSupport(context);
    try (Stream<Path> files = Files.list(folder)) {
      for (Path file : files.sorted().toList()) {
        support.addCodeSystem(context.newJsonParser().parseResource(CodeSystem.class, Files.readString(file)));
      }
    }
    return support;
  }

  /** Nothing outside the file is at hand. */
  private static final class NothingElsewhere implements IValidatorResourceFetcher {
    @Override public Element fetch(IResourceValidator v, Object c, String url) { return null; }
    @Override public boolean resolveURL(IResourceValidator v, Object c, String path, String url, String type,
        boolean canonical, List<CanonicalType> targets) { return true; }
    @Override public byte[] fetchRaw(IResourceValidator v, String url) { return new byte[0]; }
    @Override public IValidatorResourceFetcher setLocale(Locale locale) { return this; }
    @Override public CanonicalResource fetchCanonicalResource(IResourceValidator v, Object c, String url) { return null; }
    @Override public boolean fetchesCanonicalResource(IResourceValidator v, String url) { return false; }
    @Override public Set<ResourceVersionInformation> fetchCanonicalResourceVersions(IResourceValidator v, Object c,
        String url) { return Set.of(); }
  }
}
