package peers;

import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.context.support.IValidationSupport;
import ca.uhn.fhir.interceptor.api.IInterceptorBroadcaster;
import ca.uhn.fhir.interceptor.api.IInterceptorService;
import ca.uhn.fhir.jpa.api.config.JpaStorageSettings;
import ca.uhn.fhir.jpa.api.dao.IFhirSystemDao;
import ca.uhn.fhir.jpa.provider.IJpaSystemProvider;
import ca.uhn.fhir.jpa.provider.JpaCapabilityStatementProvider;
import ca.uhn.fhir.jpa.search.DatabaseBackedPagingProvider;
import ca.uhn.fhir.rest.server.HardcodedServerAddressStrategy;
import ca.uhn.fhir.rest.server.RestfulServer;
import ca.uhn.fhir.rest.server.provider.ResourceProviderFactory;
import ca.uhn.fhir.rest.server.util.ISearchParamRegistry;
import org.apache.catalina.Context;
import org.apache.catalina.startup.Tomcat;
import org.springframework.context.annotation.AnnotationConfigApplicationContext;

import java.nio.file.Path;

/** HAPI FHIR JPA server, R4, in memory, on a free port of 127.0.0.1. Argument: a folder for temporary files. */
public final class Main {
  private Main() {}

  @SuppressWarnings({"rawtypes", "unchecked"})
  public static void main(String[] argv) throws Exception {
    Path folder = Path.of(argv[0]);

    AnnotationConfigApplicationContext app = new AnnotationConfigApplicationContext();
    app.register(Config.class);
    app.refresh();

    FhirContext ctx = app.getBean(FhirContext.class);
    RestfulServer fhir = new RestfulServer(ctx);
    fhir.setInterceptorService(app.getBean(IInterceptorService.class));
    fhir.registerProviders(app.getBean(ResourceProviderFactory.class).createProviders());
    fhir.registerProvider(app.getBean(IJpaSystemProvider.class));
    fhir.setPagingProvider(app.getBean(DatabaseBackedPagingProvider.class));
    JpaCapabilityStatementProvider conformance = new JpaCapabilityStatementProvider(fhir,
        app.getBean(IFhirSystemDao.class), app.getBean(JpaStorageSettings.class),
        app.getBean(ISearchParamRegistry.class), app.getBean(IValidationSupport.class));
    conformance.setImplementationDescription("HAPI FHIR JPA server, R4, for tests");
    fhir.setServerConformanceProvider(conformance);

    Tomcat tomcat = new Tomcat();
    tomcat.setBaseDir(folder.toString());
    tomcat.setPort(0);
    tomcat.getConnector().setProperty("address", "127.0.0.1");
    Context web = tomcat.addContext("", null);
    Tomcat.addServlet(web, "fhir", fhir).setLoadOnStartup(1);
    web.addServletMappingDecoded("/fhir/*", "fhir");
    tomcat.start();
    String base = "http://127.0.0.1:" + tomcat.getConnector().getLocalPort() + "/fhir";
    fhir.setServerAddressStrategy(new HardcodedServerAddressStrategy(base));

    Runtime.getRuntime().addShutdownHook(new Thread(() -> {
      try {
        tomcat.stop();
        app.close();
      } catch (Exception e) {
        System.err.println("stop: " + e);
      }
    }));
    System.out.println("ready " + base);
    tomcat.getServer().await();
  }
}
